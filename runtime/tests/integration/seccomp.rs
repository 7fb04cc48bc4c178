//! Seccomp: config-linux.md "Seccomp".

use crate::harness::Container;
use crate::needs::{Kind, lacks};
use serde_json::{Value, json};

/// What the shell and a runtime on its last steps call.
const CALLS: &str = "
    access arch_prctl brk chdir clone clone3 close close_range dup2 dup3 execve execveat
    exit exit_group fchdir fchown fcntl fstat fstatfs futex getcwd getdents64 getegid
    geteuid getgid getpgrp getpid getppid getrandom gettid getuid ioctl lseek madvise mmap
    mprotect munmap nanosleep newfstatat open openat openat2 pipe2 poll ppoll prctl pread64
    prlimit64 read readlink readlinkat rseq rt_sigaction rt_sigprocmask rt_sigreturn
    sched_getaffinity sched_yield set_robust_list set_tid_address setgid setgroups setuid
    sigaltstack stat statx umask uname wait4 write writev capget capset epoll_ctl
    epoll_create1 epoll_pwait eventfd2 fstatat64 getsid keyctl lstat statfs tgkill time
    faccessat2 faccessat sysinfo pipe restart_syscall name_to_handle_at waitid pidfd_open
    pidfd_send_signal";

/// A profile that allows everything but one rule.
fn profile(rule: &Value) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [rule],
    })
}

fn container(script: &str, rule: &Value) -> Container {
    Container::sh(script).edit(|s| s["linux"]["seccomp"] = profile(rule))
}

#[test]
fn errno_refuses_with_eperm() {
    let c = container("mkdir /x", &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}));
    let outcome = c.run();
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("Operation not permitted"), "{}", outcome.err);
}

#[test]
fn errno_takes_the_configured_number() {
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 100});
    let outcome = container("mkdir /x", &rule).run();
    assert!(outcome.err.contains("Network is down"), "{}", outcome.err);
}

#[test]
fn default_errno_is_used_by_the_default_action() {
    let c = Container::sh("mkdir /x").edit(|s| {
        s["linux"]["seccomp"] = profile(&json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}));
        s["linux"]["seccomp"]["defaultErrnoRet"] = json!(38);
        s["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_ALLOW");
    });
    // defaultErrnoRet belongs to defaultAction; the rule keeps EPERM.
    let outcome = c.run();
    assert!(outcome.code != 0, "{outcome:?}");
}

#[test]
fn kill_ends_the_program_with_sigsys() {
    let rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"});
    let c = container("mkdir /x; echo $?", &rule);
    assert_eq!(c.run().ok(), "159\n");
}

#[test]
fn arguments_are_compared() {
    // kill(pid, 10) is refused, kill(pid, 12) works.
    let rule = json!({
        "names": ["kill"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}],
    });
    let c = container("trap : 10 12; kill -10 $$ || echo refused; kill -12 $$ && echo sent", &rule);
    assert_eq!(c.run().ok(), "refused\nsent\n");
}

#[test]
fn masked_arguments_are_compared() {
    let rule = json!({
        "names": ["kill"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 1, "value": 8, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}],
    });
    let c = container("trap : 10 17; kill -10 $$ || echo refused; kill -17 $$ && echo sent", &rule);
    assert_eq!(c.run().ok(), "refused\nsent\n");
}

#[test]
fn a_deny_by_default_profile_lets_the_listed_calls_through() {
    let names: Vec<&str> = CALLS.split_whitespace().collect();
    let c = Container::sh("echo allowed; mkdir /x || echo refused").edit(|s| {
        s["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
        });
    });
    assert_eq!(c.run().ok(), "allowed\nrefused\n");
}

#[test]
fn exec_is_filtered_too() {
    let c = container("", &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}));
    let c = c.edit(|s| s["process"]["args"] = json!(["sleep", "1000"])).up();
    let outcome = c.exec("grep Seccomp: /proc/self/status; mkdir /x");
    assert_eq!(outcome.out, "Seccomp:\t2\n");
    assert_eq!(outcome.code, 1);
}

#[test]
fn filters_work_without_no_new_privileges() {
    let c = container(
        "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; mkdir /x || echo refused",
        &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}),
    );
    let c = c.edit(|s| s["process"]["noNewPrivileges"] = json!(false));
    assert_eq!(c.run().ok(), "NoNewPrivs:\t0\nSeccomp:\t2\nrefused\n");
}

#[test]
fn flags_are_taken() {
    lacks!(Kind::Runc(1, ..2) => "flags came with 1.2");
    for flag in
        ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]
    {
        let c = container(
            "grep Seccomp: /proc/self/status",
            &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}),
        );
        let c = c.edit(|s| s["linux"]["seccomp"]["flags"] = json!([flag]));
        assert_eq!(c.run().ok(), "Seccomp:\t2\n", "{flag}");
    }
}

#[test]
fn unknown_syscalls_are_skipped() {
    // Profiles name the calls of every kernel and architecture.
    let rule = json!({"names": ["mkdir", "call_of_tomorrow"], "action": "SCMP_ACT_ERRNO"});
    assert_eq!(container("mkdir /x || echo refused", &rule).run().ok(), "refused\n");
}

#[test]
fn unknown_actions_flags_and_architectures_are_refused() {
    for (name, value) in [
        ("defaultAction", json!("SCMP_ACT_SHOUT")),
        ("architectures", json!(["SCMP_ARCH_ABACUS"])),
        ("syscalls", json!([{"names": ["mkdir"], "action": "SCMP_ACT_SHOUT"}])),
        (
            "syscalls",
            json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]),
        ),
    ] {
        let c = container("true", &json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}));
        let c = c.edit(|s| s["linux"]["seccomp"][name] = value);
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

/// The hook runs as the program would (config.md "startContainer Hooks").
#[test]
fn a_start_container_hook_is_filtered() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "runs it before the filter is loaded");
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"});
    let c = container("true", &rule).edit(|s| {
        s["hooks"] = json!({"startContainer": [
            {"path": "/bin/sh", "args": ["sh", "-c", "exec mkdir /tmp/made"]},
        ]});
        s["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    });
    let err = c.run().fails();
    assert!(err.contains("error running startContainer hook"), "{err}");
    assert!(err.contains("bad system call"), "{err}");
    assert!(!c.rootfs("tmp/made").exists());
}
