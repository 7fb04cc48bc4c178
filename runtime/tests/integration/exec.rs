//! `exec`.

use crate::harness::{Container, eventually};
use crate::needs::{Kind, asks_for, kind, lacks};
use serde_json::json;
use std::fs;

#[test]
fn exec_runs_in_the_container() {
    let c = Container::sleeping().up();
    let init = c.pid();
    let out =
        c.exec("hostname; readlink /proc/self/ns/mnt; cat /proc/1/cmdline | tr '\\0' ' '").ok();
    let mnt = fs::read_link(format!("/proc/{init}/ns/mnt")).unwrap();
    assert_eq!(out, format!("hull-test\n{}\nsleep 1000 ", mnt.display()));
}

#[test]
fn exec_exits_with_the_programs_status() {
    let c = Container::sleeping().up();
    for status in [0, 1, 42, 254] {
        c.exec(&format!("exit {status}")).exits(status);
    }
    c.exec("kill -KILL $$").exits(137);
    assert_eq!(c.status(), "running");
}

#[test]
fn exec_failures_exit_with_255() {
    lacks!(Kind::Crun(..) => "exits with 1");
    let c = Container::sleeping().up();
    let err = c.exec_with(&[], &["nosuchcmd"]);
    assert_eq!(err.code, 255);
    assert!(err.err.contains("executable file not found in $PATH"), "{}", err.err);
    assert_eq!(c.call(&["exec", "nosuch", "true"]).code, 255);
    assert_eq!(c.exec_with(&["--cwd", "/etc/passwd"], &["true"]).code, 255);
}

#[test]
fn exec_takes_cwd_env_and_user() {
    lacks!(Kind::Crun(..) => "replaces the whole environment");
    let c = Container::sleeping().up();
    let out = c.exec_with(
        &["--cwd", "/tmp", "-e", "A=1", "-e", "B=x,y", "--user", "1000:1001"],
        &["sh", "-c", "pwd; echo $A $B $TERM; id -u; id -g"],
    );
    assert_eq!(out.ok(), "/tmp\n1 x,y xterm\n1000\n1001\n");
}

#[test]
fn exec_takes_additional_groups() {
    lacks!(Kind::Crun(..) => "has no such option");
    let c = Container::sleeping().up();
    let out = c.exec_with(&["-g", "100", "-g", "65534"], &["id", "-G"]).ok();
    for group in ["100", "65534"] {
        assert!(out.split_whitespace().any(|word| word == group), "{out}");
    }
}

#[test]
fn exec_starts_from_the_configured_process() {
    lacks!(Kind::Crun(..) => "starts from an empty process");
    let c = Container::sleeping()
        .edit(|s| {
            s["process"]["env"] = json!(["PATH=/bin", "FROM=config"]);
            s["process"]["cwd"] = json!("/home");
            s["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        })
        .up();
    let want = "config\n/home\n1000\nNoNewPrivs:\t1\n";
    let got = c.exec("echo $FROM; pwd; id -u; grep NoNewPrivs /proc/self/status").ok();
    assert_eq!(got, want);
}

#[test]
fn exec_reads_a_process_file() {
    let c = Container::sleeping().up();
    let process = json!({
        "args": ["sh", "-c", "echo $K; pwd; id -u"], "cwd": "/tmp",
        "env": ["PATH=/bin", "K=from-file"], "user": {"uid": 7, "gid": 7},
    });
    let file = c.write("process.json", &process.to_string());
    let out = c.call(&["exec", "--process", file.to_str().unwrap(), &c.id]).ok();
    assert_eq!(out, "from-file\n/tmp\n7\n");
}

#[test]
fn bad_process_files_are_refused() {
    let c = Container::sleeping().up();
    for text in ["", "{", "[]", "{\"args\": 7}", "{\"cwd\": \"/\", \"args\": []}"] {
        let file = c.write("process.json", text);
        c.call(&["exec", "--process", file.to_str().unwrap(), &c.id]).fails();
    }
    c.call(&["exec", "--process", &c.text("missing"), &c.id]).fails();
    assert_eq!(c.status(), "running");
}

#[test]
fn exec_detached_writes_a_pid_file() {
    let c = Container::sleeping().up();
    let file = c.text("exec.pid");
    c.exec_with(&["--detach", "--pid-file", &file], &["sleep", "999"]).ok();
    let pid: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
    let args = || fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    if matches!(kind(), Kind::Crun(..)) {
        eventually("crun returns before the execve", || args() == b"sleep\x00999\x00");
    }
    assert_eq!(args(), b"sleep\x00999\x00");
    let same = |name: &str| {
        fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap()
            == fs::read_link(format!("/proc/{}/ns/{name}", c.pid())).unwrap()
    };
    assert!(["pid", "mnt", "net", "ipc", "uts"].into_iter().all(same));
}

#[test]
fn exec_feeds_stdin() {
    let c = Container::sleeping().up();
    assert_eq!(c.wait(c.command(&["exec", &c.id, "cat"]), "fed\n").ok(), "fed\n");
}

#[test]
fn options_after_the_command_are_the_commands() {
    let c = Container::sleeping().up();
    assert_eq!(c.exec_with(&[], &["echo", "-n", "--cwd", "x"]).ok(), "--cwd x");
}

#[test]
fn exec_in_a_stopped_container_fails() {
    let c = Container::new(&["true"]).up();
    c.stopped();
    c.exec("true").fails();
}

#[test]
fn exec_in_a_created_container_works() {
    let c = Container::sleeping();
    c.create();
    assert_eq!(c.exec("echo in").ok(), "in\n");
    assert_eq!(c.status(), "created");
}

#[test]
fn exec_in_a_paused_container_is_refused() {
    asks_for!("pause");
    lacks!(Kind::Crun(..) => "waits for the freezer");
    let c = Container::sleeping().up();
    c.call(&["pause", &c.id]).ok();
    c.exec("true").fails();
    c.call(&["resume", &c.id]).ok();
    c.exec("true").ok();
}

#[test]
fn exec_keeps_rlimits_oom_score_and_no_new_privs() {
    lacks!(Kind::Crun(..) => "starts from an empty process");
    let c = Container::sleeping()
        .edit(|s| {
            s["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]);
            s["process"]["oomScoreAdj"] = json!(222);
            s["process"]["noNewPrivileges"] = json!(false);
        })
        .up();
    let script =
        ["sh", "-c", "ulimit -n; cat /proc/self/oom_score_adj; grep NoNew /proc/self/status"];
    let out = c.exec_with(&["--no-new-privs"], &script).ok();
    assert_eq!(out, "100\n222\nNoNewPrivs:\t1\n");
}

#[test]
fn killing_the_container_ends_its_execs() {
    let c = Container::sleeping().up();
    let file = c.text("exec.pid");
    c.exec_with(&["-d", "--pid-file", &file], &["sleep", "999"]).ok();
    let pid = fs::read_to_string(&file).unwrap();
    c.kill("KILL").ok();
    eventually("exec gone", || {
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |s| s.contains(") Z"))
    });
}

#[test]
fn exec_as_ids_beyond_32_bits_is_refused() {
    lacks!(Kind::Runc(..) | Kind::Crun(..) => "cuts 4294967296 to root's 0");
    let c = Container::sleeping().up();
    for user in ["4294967296", "-1", "0:4294967296", "root:x:y", "99999999999999999999"] {
        let outcome = c.exec_with(&["--user", user], &["id", "-u"]);
        assert!(outcome.code != 0 && outcome.out.is_empty(), "{user}: {outcome:?}");
    }
}

#[test]
fn exec_without_a_command_is_refused() {
    let c = Container::sleeping().up();
    c.exec_with(&[], &[]).fails();
}

#[test]
fn exec_takes_the_configured_umask() {
    lacks!(Kind::Runc(1, ..2) | Kind::Crun(..) => "umask of exec came with 1.2");
    let c = Container::sleeping()
        .edit(|s| s["process"]["user"] = json!({"uid": 0, "gid": 0, "umask": 0o77}))
        .up();
    assert_eq!(c.exec("umask").ok(), "0077\n");
}

#[test]
fn exec_as_a_user_takes_the_configured_rlimits() {
    lacks!(Kind::Crun(..) => "starts from an empty process");
    let c = Container::sleeping()
        .edit(|s| {
            s["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]);
        })
        .up();
    let script = ["sh", "-c", "id -u; ulimit -n"];
    assert_eq!(c.exec_with(&["--user", "1000:1000"], &script).ok(), "1000\n100\n");
}

/// As in `exec --process <(generate)`.
#[test]
fn exec_reads_a_process_from_a_pipe() {
    lacks!(Kind::Crun(1, ..9) => "reads regular files only");
    let c = Container::sleeping().up();
    let process = json!({"args": ["echo", "piped"], "cwd": "/", "env": ["PATH=/bin"]});
    c.write("process.json", &process.to_string());
    let script = "mkfifo pipe; cat process.json >pipe & $rt exec --process pipe $id";
    assert_eq!(c.host_sh(script).ok(), "piped\n");
    let script = "cat process.json | $rt exec --process /dev/stdin $id";
    assert_eq!(c.host_sh(script).ok(), "piped\n");
}

/// config.md "execCPUAffinity": for exec alone, before and after it joins the cgroup.
#[test]
fn exec_runs_on_the_configured_processors() {
    const SHOW: &str = "grep Cpus_allowed_list /proc/self/status | cut -f2";
    lacks!(Kind::Runc(1, ..3) | Kind::Crun(1, ..9) => "does not know execCPUAffinity");
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return crate::harness::skip("there is one processor");
    }
    let c = Container::sleeping().edit(|s| {
        s["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "1"});
    });
    let c = c.up();
    assert_eq!(c.exec(SHOW).ok(), "1\n");
    let init = fs::read_to_string(format!("/proc/{}/status", c.pid())).unwrap();
    assert!(!init.contains("Cpus_allowed_list:\t1\n"), "{init}");
    let process = json!({
        "args": ["sh", "-c", SHOW], "cwd": "/", "env": ["PATH=/bin"],
        "execCPUAffinity": {"initial": "0"},
    });
    let file = c.write("process.json", &process.to_string());
    assert_eq!(c.call(&["exec", "--process", file.to_str().unwrap(), &c.id]).ok(), "0\n");
    let wrong = c.write("wrong.json", &process.to_string().replace("\"0\"", "\"0-x\""));
    c.call(&["exec", "--process", wrong.to_str().unwrap(), &c.id]).fails();
}
