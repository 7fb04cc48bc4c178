use super::*;

fn hook(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: ["hook", "-c", script].map(String::from).to_vec(),
        ..Hook::default()
    }
}

fn outcome(hook: Hook, state: &[u8]) -> Result<(), String> {
    run(&[hook], "poststart", state, DefaultEnv::Inherit).map_err(|error| {
        assert_eq!(error.kind(), Kind::Hook);
        error.to_string()
    })
}

#[test]
fn the_state_is_on_stdin() {
    let state = br#"{"id":"x"}"#;
    assert_eq!(outcome(hook(r#"[ "$(cat)" = '{"id":"x"}' ]"#), state), Ok(()));
    // Scripts open it by name as well.
    assert_eq!(outcome(hook(r#"[ "$(cat /dev/stdin)" = '{"id":"x"}' ]"#), state), Ok(()));
    assert!(outcome(hook("[ -z \"$(cat)\" ]"), state).is_err());
}

#[test]
fn failures_say_everything() {
    let good = hook("true");
    let bad = hook("echo out; echo err >&2; exit 3");
    let error = run(&[good, bad], "createRuntime", b"", DefaultEnv::Inherit).unwrap_err();
    let expected =
        "error running createRuntime hook #1: exit status 3, stdout: out\n, stderr: err\n";
    assert_eq!(error.to_string(), expected);
    let killed = outcome(hook("kill -9 $$"), b"").unwrap_err();
    assert!(killed.contains("signal: killed, stdout: , stderr: "), "{killed}");
}

#[test]
fn the_first_failure_stops_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ran");
    let hooks = [hook("false"), hook(&format!("touch {}", file.display()))];
    run(&hooks, "prestart", b"", DefaultEnv::Inherit).unwrap_err();
    assert!(!file.exists());
}

#[test]
fn a_missing_program() {
    let hook = Hook { path: "/nonexistent".into(), ..Hook::default() };
    let error = outcome(hook, b"").unwrap_err();
    let expected =
        "error running poststart hook #0: exec \"/nonexistent\": no such file or directory";
    assert_eq!(error, expected);
}

#[test]
fn the_timeout_kills() {
    let start = Instant::now();
    let mut slow = hook("exec sleep 100");
    slow.timeout = Some(1);
    let error = outcome(slow, b"").unwrap_err();
    assert!(error.ends_with("hook #0: hook ran past specified timeout of 1.0s"), "{error}");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_hook_that_writes_without_end_is_killed_too() {
    let mut flood = hook("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
    flood.timeout = Some(1);
    assert!(outcome(flood, b"").unwrap_err().contains("timeout"));
}

#[test]
fn timeouts_are_positive() {
    for timeout in [0, -5] {
        let mut odd = hook("true");
        odd.timeout = Some(timeout);
        assert!(outcome(odd, b"").unwrap_err().contains("greater than zero"));
    }
    let mut endless = hook("true");
    endless.timeout = Some(i64::MAX);
    assert_eq!(outcome(endless, b""), Ok(()));
}

#[test]
fn large_input_that_nobody_reads() {
    let state = vec![b'x'; 1 << 20];
    assert_eq!(outcome(hook("exec <&-; true"), &state), Ok(()));
    assert_eq!(outcome(hook("[ $(wc -c) -eq 1048576 ]"), &state), Ok(()));
}

#[test]
fn large_output_is_cut_at_the_front() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' a; echo END; exit 1";
    let error = outcome(hook(script), b"").unwrap_err();
    assert!(error.contains("aEND\n, stderr: "));
    assert!(error.len() < KEPT + 200 && error.len() > KEPT - 200, "{}", error.len());
}

#[test]
fn background_children_do_not_hold_the_runtime() {
    let start = Instant::now();
    let script = "echo early; sleep 30 & echo $!; exit 1";
    let error = outcome(hook(script), b"").unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(15));
    let line = error.split("early\n").nth(1).unwrap().lines().next().unwrap();
    let pid = line.trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn environments() {
    let prints = |env: Option<&[&str]>, default| {
        let mut hook = hook("/usr/bin/env | grep -v '^[PS_]' | sort; exit 1");
        hook.env = env.map(|env| env.iter().map(|it| (*it).to_owned()).collect());
        let error = run(&[hook], "prestart", b"", default).unwrap_err().to_string();
        error.split("stdout: ").nth(1).unwrap().split(", stderr").next().unwrap().to_owned()
    };
    let theirs = ["B=2=3".to_owned()];
    assert_eq!(prints(Some(&["A=1", "A=2"]), DefaultEnv::Exactly(&theirs)), "A=2\n");
    assert_eq!(prints(None, DefaultEnv::Exactly(&theirs)), "B=2=3\n");
    assert_eq!(prints(Some(&[]), DefaultEnv::Inherit), "");
    assert!(prints(None, DefaultEnv::Inherit).contains("CARGO_MANIFEST_DIR="));
    let mut broken = hook("true");
    broken.env = Some(vec!["NOVALUE".into()]);
    assert!(outcome(broken, b"").unwrap_err().contains("NAME=value"));
}

#[test]
fn signals_are_as_a_program_expects() {
    // SIGPIPE is ignored in this process, and a blocked signal stays so over execve.
    let blocked = nix::sys::signal::SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM]);
    blocked.thread_block().unwrap();
    // Without a shell, which might clear the mask; grep fails for want of one of the files.
    let mut hook = hook("");
    hook.path = "/bin/grep".into();
    hook.args = ["grep", "-hE", "^Sig(Ign|Blk)", "/proc/self/status", "/nonexistent"]
        .map(String::from)
        .to_vec();
    let error = outcome(hook, b"");
    blocked.thread_unblock().unwrap();
    let error = error.unwrap_err();
    assert!(error.contains("SigBlk:\t0000000000000000\n"), "{error}");
    let ignored = error.split("SigIgn:\t").nth(1).and_then(|rest| rest.get(..16)).unwrap();
    let sigpipe = 1 << (nix::libc::SIGPIPE - 1);
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & sigpipe, 0);
}

#[test]
fn no_descriptor_leaks() {
    // What the test runner itself was given without close-on-exec is not ours.
    let inherited = Command::new("/bin/ls").arg("/proc/self/fd").output().unwrap().stdout;
    let inherited = String::from_utf8(inherited).unwrap();
    let error = outcome(hook("ls /proc/self/fd; exit 1"), b"").unwrap_err();
    assert!(error.contains(&format!("stdout: {inherited}, ")), "{error} {inherited}");
}

#[test]
fn tails_keep_the_end() {
    let mut tail = Tail::default();
    for chunk in 0..200u8 {
        tail.push(&[chunk; 1000]);
        assert!(tail.0.len() < 2 * KEPT);
    }
    assert_eq!(tail.0.last(), Some(&199));
    assert!(tail.0.len() >= KEPT);
    let mut short = Tail::default();
    short.push(b"abc");
    assert_eq!(short.text(), "abc");
}
