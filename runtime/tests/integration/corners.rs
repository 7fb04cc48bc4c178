//! Corners: what few configurations ask for, and `exec` where it differs from `run`.

use crate::harness::{Container, cgroups_path, eventually, skip, systemd, unified};
use crate::needs::{Kind, asks_for, lacks};
use crate::tty::receiver;
use serde_json::json;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn exec_joins_every_namespace() {
    let mut c = Container::sleeping();
    for kind in ["cgroup", "time"] {
        if kind == "cgroup" || Path::new("/proc/self/ns/time").exists() {
            crate::harness::namespace(&mut c.spec, kind, None);
        }
    }
    lacks!(Kind::Runc(1, ..2) => "time namespaces came with 1.2", Kind::Crun(1, ..9) => "old");
    let c = c.up();
    let init = c.pid();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let Ok(of_init) = fs::read_link(format!("/proc/{init}/ns/{kind}")) else { continue };
        let of_exec = c.exec(&format!("readlink /proc/self/ns/{kind}")).ok();
        assert_eq!(of_exec.trim(), of_init.to_str().unwrap(), "{kind}");
    }
}

#[test]
fn exec_goes_into_a_cgroup_below() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "elsewhere on this kind of host");
    if systemd() {
        return skip("paths are of the cgroupfs driver");
    }
    let c = Container::sleeping().up();
    let script = "cat /proc/self/cgroup";
    let below = format!("{}/below", cgroups_path(&c.id));
    for path in c.cgroups() {
        fs::create_dir(path.join("below")).unwrap();
        // A cpuset of v1 begins empty, and nobody can be in it then.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read(path.join(file)) {
                let _ = fs::write(path.join("below").join(file), value);
            }
        }
    }
    let lines = c.exec_with(&["--cgroup", "/below"], &["sh", "-c", script]).ok();
    assert!(lines.lines().any(|line| line.ends_with(&below)), "{lines}");
    if !unified() {
        let lines = c.exec_with(&["--cgroup", "pids:below"], &["sh", "-c", script]).ok();
        let pids = lines.lines().find(|line| line.contains("pids")).unwrap();
        let memory = lines.lines().find(|line| line.contains("memory")).unwrap();
        assert!(pids.ends_with(&below) && !memory.ends_with(&below), "{lines}");
    }
    let said = c.exec_with(&["--cgroup", "../up"], &["true"]).fails();
    assert!(said.contains("bad sub cgroup path"), "{said}");
    let said = c.exec_with(&["--cgroup", "none:x"], &["true"]).fails();
    assert!(said.contains("unknown controller none"), "{said}");
}

#[test]
fn exec_runs_on_the_cpus_it_is_given() {
    lacks!(Kind::Runc(1, ..3) | Kind::Crun(1, ..20) => "execCPUAffinity is newer");
    let c = Container::sleeping().up();
    let process = json!({
        "args": ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0},
        "execCPUAffinity": {"initial": "0", "final": "0"},
    });
    let file = c.write("process.json", &process.to_string());
    let out = c.exec_with(&["--process", file.to_str().unwrap()], &[]).ok();
    assert_eq!(out.split_whitespace().last(), Some("0"), "{out}");
}

#[test]
fn exec_waits_in_a_paused_container_when_asked_to() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "has no such flag");
    let c = Container::sleeping().up();
    c.call(&["pause", &c.id]).ok();
    let mut exec = c.command(&["exec", "--ignore-paused", &c.id, "touch", "/done"]);
    let mut exec = exec.spawn().unwrap();
    // It is one of the frozen processes by then.
    eventually("it is in the container", || {
        c.cgroup("freezer/cgroup.procs", "cgroup.procs").lines().count() > 1
    });
    assert!(exec.try_wait().unwrap().is_none() && !c.rootfs("done").exists());
    c.call(&["resume", &c.id]).ok();
    assert!(exec.wait().unwrap().success());
    assert!(c.rootfs("done").exists());
}

#[test]
fn labels_need_their_module() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "some ignore what the host does not have");
    if Path::new("/sys/kernel/security/apparmor").exists() {
        return skip("AppArmor is enabled here");
    }
    let c = Container::sleeping().up();
    let said = c.exec_with(&["--apparmor", "web"], &["true"]).fails();
    assert!(said.contains("apparmor is not enabled"), "{said}");
    if Path::new("/sys/fs/selinux/enforce").exists() {
        return skip("SELinux is enabled here");
    }
    let said = c.exec_with(&["--process-label", "a:b:c:s0"], &["true"]).fails();
    assert!(said.contains("selinux is disabled"), "{said}");
    let c = Container::new(&["true"]).edit(|s| s["linux"]["mountLabel"] = json!("a:b:c:s0"));
    let said = c.run().fails();
    assert!(said.contains("selinux is disabled"), "{said}");
}

#[test]
fn an_apparmor_profile_confines_program_and_exec() {
    if !Path::new("/sys/kernel/security/apparmor").exists() {
        return skip("AppArmor is not enabled here");
    }
    let c = Container::sh("cat /proc/self/attr/current; sleep 1000").edit(|s| {
        s["process"]["apparmorProfile"] = json!("unconfined");
    });
    let c = c.up();
    eventually("it has told", || c.output().contains("unconfined"));
    let out = c.exec_with(&["--apparmor", "unconfined"], &["cat", "/proc/self/attr/current"]).ok();
    assert!(out.contains("unconfined"), "{out}");
    let said = c.exec_with(&["--apparmor", "no-such-profile"], &["true"]).fails();
    assert!(said.contains("no-such-profile"), "{said}");
}

/// A profile in the kernel for the time of a test.
struct Profile;

/// All is allowed but to read one file.
const PROFILE: &str = "profile hull-test flags=(attach_disconnected,mediate_deleted) {\n\
    file, capability, network, signal, ptrace, unix, mount, umount, pivot_root,\n\
    deny /denied r,\n}\n";

impl Profile {
    /// None where the tool is missing.
    fn load() -> Option<Self> {
        Self::tell("--replace").then_some(Self)
    }

    fn tell(what: &str) -> bool {
        let mut parser = Command::new("apparmor_parser");
        parser.args([what, "--skip-cache"]).stdin(Stdio::piped());
        let Ok(mut parser) = parser.spawn() else { return false };
        parser.stdin.take().unwrap().write_all(PROFILE.as_bytes()).unwrap();
        parser.wait().unwrap().success()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        Self::tell("--remove");
    }
}

#[test]
fn an_apparmor_profile_denies_what_it_says() {
    if !Path::new("/sys/kernel/security/apparmor").exists() {
        return skip("AppArmor is not enabled here");
    }
    let Some(_profile) = Profile::load() else {
        return skip("there is no apparmor_parser to load a profile");
    };
    let read = "exec 2>&1; cat /proc/self/attr/current /allowed; cat /denied || sleep 1000";
    let c = Container::sh(read).edit(|s| s["process"]["apparmorProfile"] = json!("hull-test"));
    c.write("rootfs/allowed", "may be read");
    c.write("rootfs/denied", "may not");
    let c = c.up();
    let told = ["hull-test (enforce)", "may be read", "Permission denied"];
    let complete = |said: &str| told.iter().all(|part| said.contains(part));
    eventually("it has told", || complete(&c.output()));
    // What joins it has its profile, or the one it is given.
    let joined = c.exec("cat /proc/self/attr/current; cat /denied");
    assert!(joined.out.contains("hull-test (enforce)"), "{joined:?}");
    assert!(joined.err.contains("Permission denied"), "{joined:?}");
    let free = c.exec_with(&["--apparmor", "unconfined"], &["cat", "/denied"]).ok();
    assert_eq!(free, "may not");
}

#[test]
fn the_manager_hears_that_the_container_is_ready() {
    lacks!(Kind::Crun(..) => "hands the host's socket to the container");
    let script = "test $NOTIFY_SOCKET = /run/notify/notify.sock && sleep 1000";
    let c = Container::sh(script);
    c.save();
    let socket = UnixDatagram::bind(c.path("manager")).unwrap();
    let limit = Some(Duration::from_secs(60));
    socket.set_read_timeout(limit).unwrap();
    let mut run = c.command(&["run", "--detach", &c.id]);
    run.env("NOTIFY_SOCKET", c.path("manager"));
    let mut run = run.spawn().unwrap();
    // Until the container says so, the command does not return.
    let inside = c.path("state").join(&c.id).join("notify/notify.sock");
    eventually("the container's socket is there", || inside.exists());
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"STATUS=almost", &inside).unwrap();
    assert!(run.try_wait().unwrap().is_none());
    sender.send_to(b"READY=1\nSTATUS=up", &inside).unwrap();
    let mut buffer = [0; 256];
    let mut hear = || {
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let heard = hear() + "\n" + &hear();
    assert!(heard.contains("READY=1") && !heard.contains("almost"), "{heard}");
    let pid = c.pid();
    assert!(heard.contains(&format!("MAINPID={pid}")), "{heard}");
    // A manager that does not answer the barrier would make it wait longer.
    drop(socket);
    run.wait().unwrap();
}

#[test]
fn a_seccomp_agent_decides() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "built without it on this kind of host");
    let script = "until mkdir /made 2>&1; do test -e /stop && exit; sleep 0.05; done; sleep 1000";
    let mut c = Container::sh(script);
    let socket = c.text("agent");
    c.spec["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": socket,
        "listenerMetadata": "for the agent",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    });
    let agent = receiver(Path::new(&socket));
    let c = c.up();
    let (told, listener) = agent.join().unwrap();
    assert!(told.contains("seccompFd") && told.contains("for the agent"), "{told}");
    // The program waits for the decision; when the agent has gone the call is refused.
    drop(listener);
    eventually("mkdir has failed", || c.output().contains("mkdir"));
    assert!(!c.rootfs("made").exists());
    fs::write(c.rootfs("stop"), "").unwrap();
    c.stopped();
}

#[test]
fn a_memory_policy_is_inherited_by_the_program() {
    lacks!(Kind::Runc(1, ..4) | Kind::Crun(..) => "memoryPolicy is newer");
    if !Path::new("/proc/self/numa_maps").exists() {
        return skip("the kernel has no NUMA");
    }
    let c = Container::new(&["grep", "-m1", "bind", "/proc/self/numa_maps"]).edit(|s| {
        s["linux"]["memoryPolicy"] =
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    });
    let out = c.run().ok();
    assert!(out.contains("bind=static:0"), "{out}");
}

#[test]
fn a_deadline_scheduler_is_set_with_its_times() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(1, ..9) => "came later");
    let c = Container::new(&["cut", "-d ", "-f41", "/proc/self/stat"]).edit(|s| {
        s["process"]["scheduler"] = json!({
            "policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 30_000_000,
            "period": 30_000_000, "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        });
    });
    let outcome = c.run();
    // Admission is a matter of the host: of bandwidth, and of all CPUs being allowed.
    if outcome.code != 0 {
        assert!(outcome.err.contains("sched_setattr"), "{}", outcome.err);
        return skip("the kernel does not admit deadlines here");
    }
    // proc_pid_stat(5): 41 is the policy; sched.h: SCHED_DEADLINE is 6.
    assert_eq!(outcome.out, "6\n");
}

#[test]
fn rdt_needs_resctrl() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "some ignore what the host does not have");
    if Path::new("/sys/fs/resctrl/schemata").exists() {
        return skip("the host has resctrl");
    }
    let c = Container::new(&["true"]).edit(|s| s["linux"]["intelRdt"] = json!({"closID": "a"}));
    let said = c.run().fails();
    assert!(said.contains("resctrl"), "{said}");
    assert_eq!(c.leftovers(), [""; 0]);
}
