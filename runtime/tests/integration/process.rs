//! The process: environment, user, working directory, limits, scheduling.

use crate::harness::Container;
use crate::needs::{Kind, kind, lacks};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

#[test]
fn the_environment_is_the_configured_one() {
    let c = Container::new(&["env"]).edit(|s| {
        s["process"]["env"] = json!(["PATH=/bin", "A=b=c", "EMPTY=", "S= x ", "HOME=/h"]);
    });
    let mut command = c.command(&["run", &c.id]);
    c.save();
    command.env("SECRET_OF_THE_CALLER", "1");
    assert_eq!(c.wait(command, "").ok(), "PATH=/bin\nA=b=c\nEMPTY=\nS= x \nHOME=/h\n");
}

#[test]
fn home_comes_from_the_containers_passwd() {
    lacks!(Kind::Crun(..) => "leaves HOME empty for unknown users");
    let c = Container::sh("echo $HOME").edit(|s| {
        s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    assert_eq!(c.run().ok(), "/home\n");
    let c =
        Container::sh("echo $HOME").edit(|s| s["process"]["user"] = json!({"uid": 4321, "gid": 0}));
    assert_eq!(c.run().ok(), "/\n");
}

#[test]
fn user_groups_and_umask() {
    let c = Container::sh("id -u; id -g; id -G; umask; touch /tmp/f; stat -c %a /tmp/f").edit(
        |s| {
            s["process"]["user"] =
                json!({"uid": 1000, "gid": 2000, "additionalGids": [10, 20, 2000], "umask": 0o27});
        },
    );
    let out = c.run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["1000", "2000"]);
    let mut groups: Vec<&str> = lines[2].split(' ').collect();
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups, ["10", "20", "2000"]);
    assert_eq!(lines[3..], ["0027", "640"]);
}

#[test]
fn the_callers_groups_and_umask_do_not_leak() {
    // CVE-2022-36109 and relatives: supplementary groups are exactly the configured ones.
    let c = Container::sh("grep Groups: /proc/self/status; umask");
    let outcome = c.host_sh("umask 0; setpriv --groups 12345 $rt run $id");
    let out = outcome.ok();
    assert!(!out.contains("12345"), "{out}");
    assert!(out.ends_with("0022\n"), "{out}");
}

#[test]
fn cwd_is_made_when_it_is_missing() {
    let c = Container::new(&["pwd"]).edit(|s| s["process"]["cwd"] = json!("/made/for/me"));
    assert_eq!(c.run().ok(), "/made/for/me\n");
    assert!(c.rootfs("made/for/me").is_dir());
}

#[test]
fn a_relative_cwd_is_refused() {
    lacks!(Kind::Crun(1, ..9) => "takes it");
    let c = Container::new(&["pwd"]).edit(|s| s["process"]["cwd"] = json!("tmp"));
    c.create_with(&[]).fails();
}

#[test]
fn a_cwd_that_is_a_file_is_refused() {
    let c = Container::new(&["pwd"]).edit(|s| s["process"]["cwd"] = json!("/etc/passwd"));
    c.run().fails();
}

#[test]
fn rlimits_are_set() {
    let c = Container::sh("ulimit -n; ulimit -Hn; ulimit -c").edit(|s| {
        s["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 513},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        ]);
    });
    assert_eq!(c.run().ok(), "512\n513\n0\n");
}

#[test]
fn bad_rlimits_are_refused() {
    lacks!(
        Kind::Runc(..) => "takes duplicates",
        Kind::Crun(..) => "takes duplicates",
    );
    for limits in [
        json!([{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}]),
        json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]),
        json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]),
    ] {
        let c = Container::new(&["true"]).edit(|s| s["process"]["rlimits"] = limits);
        c.create_with(&[]).fails();
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

#[test]
fn no_new_privileges_follows_the_config() {
    for (value, want) in [(json!(true), "1"), (json!(false), "0"), (json!(null), "0")] {
        let c = Container::sh("grep NoNewPrivs /proc/self/status")
            .edit(|s| s["process"]["noNewPrivileges"] = value);
        assert_eq!(c.run().ok(), format!("NoNewPrivs:\t{want}\n"));
    }
}

#[test]
fn oom_score_adj_is_set_or_left_alone() {
    let c = Container::new(&["cat", "/proc/self/oom_score_adj"])
        .edit(|s| s["process"]["oomScoreAdj"] = json!(321));
    assert_eq!(c.run().ok(), "321\n");
    // config.md "Linux Process": if not set, the runtime MUST NOT change it.
    let c = Container::new(&["cat", "/proc/self/oom_score_adj"]);
    assert_eq!(c.host_sh("echo 77 >/proc/self/oom_score_adj; $rt run $id").ok(), "77\n");
}

#[test]
fn io_priority_is_set() {
    lacks!(Kind::Runc(1, ..2) => "came with 1.2", Kind::Crun(1, ..9) => "came with 1.9");
    let c = Container::new(&["ionice", "-p", "1"]).edit(|s| {
        s["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
    });
    assert!(c.run().ok().contains("best-effort: prio 4"));
}

#[test]
fn the_scheduler_is_set() {
    lacks!(Kind::Runc(1, ..2) => "came with 1.2", Kind::Crun(1, ..9) => "came with 1.9");
    let c = Container::new(&["cut", "-d ", "-f19,41", "/proc/self/stat"]).edit(|s| {
        s["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    });
    // proc_pid_stat(5): 19 is the nice value, 41 the policy; sched.h: SCHED_BATCH is 3.
    assert_eq!(c.run().ok(), "5 3\n");
}

#[test]
fn unknown_words_are_refused() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(1, ..9) => "ignores the newer properties");
    for (name, value) in [
        ("scheduler", json!({"policy": "SCHED_NOSUCH"})),
        ("scheduler", json!({"nice": 1})),
        ("ioPriority", json!({"class": "IOPRIO_CLASS_NOSUCH", "priority": 1})),
    ] {
        let c = Container::new(&["true"]).edit(|s| s["process"][name] = value);
        c.create_with(&[]).fails();
    }
}

#[test]
fn personality_is_set() {
    lacks!(Kind::Runc(1, ..2) => "came with 1.2");
    let known = std::process::Command::new("setarch").args(["i686", "uname", "-m"]).output();
    if !known.unwrap().stdout.starts_with(b"i686") {
        return crate::harness::skip("the kernel has one name for its machine");
    }
    let c = Container::new(&["uname", "-m"]).edit(|s| {
        s["linux"]["personality"] = json!({"domain": "LINUX32"});
    });
    assert_eq!(c.run().ok(), "i686\n");
}

#[test]
fn args_keep_their_bytes() {
    let c = Container::new(&["printf", "%s|", "a b", "", "c\"d'", "$HOME", "*", "tab\there"]);
    assert_eq!(c.run().ok(), "a b||c\"d'|$HOME|*|tab\there|");
}

#[test]
fn a_program_that_cannot_run_says_why() {
    // The phrases are an interface: Docker and Podman make exit codes 126 and 127 of them.
    lacks!(Kind::Crun(..) => "has its own words");
    let script = |c: &Container| c.script("rootfs/badsh", "").replace("/bin/sh", "");
    for (args, phrase) in [
        (["nosuchcmd"], "executable file not found in $PATH"),
        (["/nosuchcmd"], "no such file or directory"),
        (["/etc/passwd"], "permission denied"),
        (["/etc"], "is a directory"),
    ] {
        let c = Container::new(&args);
        script(&c);
        let err = c.run().fails();
        let dir_allowed = phrase == "is a directory" && err.contains("permission denied");
        assert!(err.contains(phrase) || dir_allowed, "{args:?}: {err}");
        assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
    }
}

#[test]
fn a_missing_interpreter_is_an_error() {
    let c = Container::new(&["/run.sh"]);
    c.write("rootfs/run.sh", "#!/no/such/interpreter\n");
    fs::set_permissions(c.rootfs("run.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let err = c.run().fails();
    assert!(err.to_lowercase().contains("no such file or directory"), "{err}");
    if kind() == Kind::Hull {
        // What execve(2) says is told as today's runc does: nothing before and after it.
        assert_eq!(err, "exec /run.sh: no such file or directory\n");
    }
}

#[test]
fn ids_beyond_32_bits_are_refused() {
    lacks!(Kind::Crun(..) => "runs 4294967295 as root");
    // CVE-2024-40635 and relatives: overflow must not end as root.
    for id in [json!(4_294_967_295_u64), json!(4_294_967_296_u64), json!(-1), json!("0")] {
        let c = Container::sh("id -u")
            .edit(|s| s["process"]["user"] = json!({"uid": id.clone(), "gid": 0}));
        let outcome = c.run();
        assert!(outcome.code != 0 && !outcome.out.contains('0'), "{id}: {outcome:?}");
    }
}

#[test]
fn the_session_keyring_is_the_containers_own() {
    let c = Container::sh("cat /proc/keys");
    let outcome = c.run().ok();
    assert!(outcome.contains("_ses"), "{outcome}");
    let c = Container::sh("cat /proc/keys");
    assert!(!c.run_with(&["--no-new-keyring"]).ok().contains(&c.id));
}

#[test]
fn memory_of_the_bundle_stays_with_its_owner() {
    let c = Container::new(&["true"]);
    c.save();
    let before = fs::metadata(c.path("config.json")).unwrap();
    c.run().ok();
    let after = fs::metadata(c.path("rootfs")).unwrap();
    assert_eq!((before.uid(), after.uid()), (0, 0));
}

/// sched_setattr(2): a deadline takes all processors of the system.
#[test]
fn a_deadline_with_some_processors_says_why_not() {
    lacks!(Kind::Runc(1, ..4) => "says only EPERM", Kind::Crun(..) => "has its own words");
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return crate::harness::skip("the only processor is all of them");
    }
    let c = Container::new(&["true"]).edit(|s| {
        s["linux"]["resources"]["cpu"] = json!({"cpus": "0"});
        s["process"]["scheduler"] = json!({
            "policy": "SCHED_DEADLINE", "runtime": 42_000, "deadline": 1_000_000,
            "period": 1_000_000,
        });
    });
    let err = c.create_with(&[]).fails();
    assert!(err.contains("scheduler can't be used together with AllowedCPUs"), "{err}");
}

/// set_mempolicy(2), as /proc/PID/numa_maps shows it.
#[test]
fn the_memory_policy_is_set() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "does not know memoryPolicy");
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        return crate::harness::skip("the kernel has no NUMA");
    }
    let c = Container::sh("cut -d' ' -f2 /proc/self/numa_maps | sort -u").edit(|s| {
        s["linux"]["memoryPolicy"] = json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"});
    });
    assert!(c.run().ok().contains("interleave:0"));
    for policy in [
        json!({"mode": "MPOL_NOSUCH", "nodes": "0"}),
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NOSUCH"]}),
        json!({"mode": "MPOL_BIND", "nodes": "x"}),
    ] {
        let c = Container::new(&["true"]).edit(|s| s["linux"]["memoryPolicy"] = policy);
        c.create_with(&[]).fails();
    }
}
