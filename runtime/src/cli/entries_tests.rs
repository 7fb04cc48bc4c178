use super::*;
use crate::cli::args::Format;
use crate::cli::global::Rootless;
use crate::cli::parse::{Failure, Request, parse};
use crate::log;
use std::path::Path;

fn request(line: &str) -> Result<Request, Failure> {
    parse(line.split_ascii_whitespace().map(Into::into))
}

fn command(line: &str) -> Command {
    match request(line) {
        Ok(Request::Run(_, Ok((_, command)))) => command,
        other => panic!("{line}: {other:?}"),
    }
}

/// Error and exit code.
fn failure(line: &str) -> (String, u8) {
    match request(line) {
        Err(failure) | Ok(Request::Run(_, Err(failure))) => {
            (failure.error.to_string(), failure.code)
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn text(line: &str) -> String {
    match request(line) {
        Ok(Request::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn create_as_containerd_calls_it() {
    let Ok(Request::Run(global, Ok((_, Command::Create(args))))) = request(
        "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup \
         create --bundle /b --pid-file /b/init.pid --console-socket /tmp/pty.sock \
         --no-pivot --no-new-keyring web",
    ) else {
        panic!("not create")
    };
    assert_eq!(global.root, Path::new("/run/containerd/runc/k8s.io"));
    assert!(global.root_given && global.systemd_cgroup && !global.debug);
    assert_eq!(global.log.as_deref(), Some(Path::new("/b/log.json")));
    assert_eq!(global.log_format, log::Format::Json);
    assert_eq!(global.rootless, Rootless::Auto);
    let expect = CreateArgs {
        id: "web".into(),
        bundle: Some("/b".into()),
        console_socket: Some("/tmp/pty.sock".into()),
        pidfd_socket: None,
        pid_file: Some("/b/init.pid".into()),
        no_pivot: true,
        no_new_keyring: true,
        preserve_fds: 0,
    };
    assert_eq!(args, expect);
}

#[test]
fn run_takes_flags_after_the_id() {
    let Command::Run(args) = command("--root /r run web -d --keep -no-subreaper -preserve-fds=3")
    else {
        panic!("not run")
    };
    assert!(args.detach && args.keep && args.no_subreaper);
    assert_eq!((args.create.id.as_str(), args.create.preserve_fds), ("web", 3));
}

#[test]
fn exec_leaves_the_commands_flags_alone() {
    let Command::Exec(args) = command(
        "--root /r exec -t -e A=1,2 -e B= -u 7:8 -g 9 -g 10 --cap CAP_KILL --cwd /tmp \
         --cgroup cpu,cpuacct:sub web sh -c -e --tty",
    ) else {
        panic!("not exec")
    };
    assert_eq!(args.command, ["sh", "-c", "-e", "--tty"]);
    assert_eq!(args.env, ["A=1,2", "B="]);
    assert_eq!(args.user, Some((7, Some(8))));
    assert_eq!(args.additional_gids, [9, 10]);
    assert_eq!(args.cap, ["CAP_KILL"]);
    assert!(args.tty && !args.detach);
    let cgroups: Vec<_> = args.cgroup.into_iter().collect();
    assert_eq!(
        cgroups,
        [("cpu".into(), "sub".into()), ("cpuacct".into(), "sub".into())] as [(String, String); 2]
    );
    let Command::Exec(args) = command("--root /r exec --process p.json -d --cgroup / web") else {
        panic!("not exec")
    };
    assert_eq!(args.process.as_deref(), Some(Path::new("p.json")));
    assert!(args.command.is_empty() && args.detach);
    assert_eq!(args.cgroup.get("").map(String::as_str), Some("/"));
}

#[test]
fn small_commands() {
    let Command::Kill(args) = command("--root /r kill --all web 9") else { panic!("not kill") };
    assert_eq!(args, KillArgs { id: "web".into(), signal: 9, all: true });
    let Command::Kill(args) = command("--root /r kill web") else { panic!("not kill") };
    assert_eq!(args, KillArgs { id: "web".into(), signal: 15, all: false });
    let Command::Delete(args) = command("--root /r delete web --force") else {
        panic!("not delete")
    };
    assert_eq!(args, DeleteArgs { id: "web".into(), force: true });
    let Command::Ps(args) = command("--root /r ps -f json web -f x") else { panic!("not ps") };
    let words = vec!["-f".to_owned(), "x".to_owned()];
    assert_eq!(args, PsArgs { id: "web".into(), format: Format::Json, args: words });
    let Command::List(args) = command("--root /r list -q --format=table") else {
        panic!("not list")
    };
    assert_eq!(args, ListArgs { format: Format::Table, quiet: true });
    // The command's own --rootless is not the global one.
    let Command::Spec(args) = command("--root /r --rootless=false spec --rootless -b /b") else {
        panic!("not spec")
    };
    assert_eq!(args, SpecArgs { bundle: Some("/b".into()), rootless: true });
    let Command::Explain(args) = command("--root /r explain --format json") else {
        panic!("not explain")
    };
    assert_eq!(args, ExplainArgs { bundle: None, format: Format::Json });
    assert!(matches!(command("--root /r features"), Command::Features));
    assert!(matches!(command("--root /r start -- web"), Command::Start { id } if id == "web"));
}

#[test]
fn global_options_may_stand_after_the_command() {
    let Ok(Request::Run(global, Ok((_, Command::State { id })))) =
        request("--root /one state web --root /two --debug")
    else {
        panic!("not state")
    };
    assert_eq!((global.root.as_path(), id.as_str()), (Path::new("/two"), "web"));
    assert!(global.debug);
}

#[test]
fn signals() {
    for (text, number) in [
        ("0", 0),
        ("9", 9),
        ("64", 64),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("Hup", 1),
        ("CLD", 17),
        ("SIGIOT", 6),
        ("POLL", 29),
    ] {
        assert_eq!(signal(text).unwrap(), number, "{text}");
    }
    for text in ["", "FOO", "SIG", "-1", "65", "9.0", "SIGSIGKILL", "99999999999999999999"] {
        let error = signal(text).unwrap_err().to_string();
        assert_eq!(error, format!("unknown signal {text:?}"));
    }
}

/// Every line of an example with hull in it can be typed so.
#[test]
fn examples() {
    for entry in &ENTRIES {
        let commands = || {
            let lines = entry.example.lines().map(str::trim);
            lines.filter_map(|line| line.rsplit("&& ").next()?.strip_prefix("hull "))
        };
        assert!(commands().next().is_some(), "{} has no example", entry.title);
        for line in commands() {
            command(line);
            assert_eq!(line.split(' ').next(), Some(entry.name()), "{line}");
        }
        assert!(text(&format!("{} --help", entry.name())).contains("EXAMPLE:\n   "));
    }
    for line in ["--help", "help", "help --help", "help -h", ""] {
        assert!(text(line).contains("EXAMPLE:\n   hull spec"), "{line:?}");
    }
}

#[test]
fn errors() {
    for (line, error, code) in [
        ("foo", "No help topic for 'foo' (\"hull help\" lists the commands)", 3),
        ("foo -h", "No help topic for 'foo' (\"hull help\" lists the commands)", 3),
        ("help foo", "No help topic for 'foo' (\"hull help\" lists the commands)", 3),
        ("migrate x", "No help topic for 'migrate' (\"hull help\" lists the commands)", 3),
        ("--nosuch", "flag provided but not defined: -nosuch (\"hull --help\" lists the flags)", 1),
        ("--root", "flag needs an argument: --root (\"hull --help\" lists the flags)", 1),
        (
            "create --nosuch x",
            "flag provided but not defined: -nosuch (\"hull create --help\" lists the flags)",
            1,
        ),
        (
            "create",
            "\"create\" requires exactly 1 argument(s): hull create [options] <container-id>",
            1,
        ),
        (
            "start a b",
            "\"start\" requires exactly 1 argument(s): hull start [options] <container-id>",
            1,
        ),
        (
            "exec",
            "\"exec\" requires a minimum of 1 argument(s): \
             hull exec [options] <container-id> <command> [args...]",
            1,
        ),
        (
            "kill a 9 b",
            "\"kill\" requires a maximum of 2 argument(s): \
             hull kill [options] <container-id> [signal]",
            1,
        ),
        ("list x", "\"list\" requires exactly 0 argument(s): hull list [options]", 1),
        ("kill web FOO", "unknown signal \"FOO\"", 1),
        ("list --format xml", "invalid format option \"xml\" (table or json)", 1),
        ("explain --format table", "invalid format option \"table\" (text or json)", 1),
        (
            "create --preserve-fds x web",
            "invalid value 'x' for '--preserve-fds <N>': invalid digit found in string",
            1,
        ),
        ("exec web", "exec failed: exec args cannot be empty", 255),
        (
            "exec -u ann web sh",
            "exec failed: bad uid: \"ann\" is not a number from 0 to 4294967294",
            255,
        ),
        (
            "exec -u 0:4294967295 web sh",
            "exec failed: bad gid: \"4294967295\" is not a number from 0 to 4294967294",
            255,
        ),
        (
            "exec -g -1 web sh",
            "exec failed: bad additional-gids: \"-1\" is not a number from 0 to 4294967294",
            255,
        ),
        (
            "exec --cgroup a --cgroup b:c web sh",
            "exec failed: invalid --cgroup argument: a (missing <controller>: prefix)",
            255,
        ),
        (
            "exec --cgroup a,:b web sh",
            "exec failed: invalid --cgroup argument: a,:b (empty <controller> prefix)",
            255,
        ),
        (
            "exec --cgroup a:x --cgroup a:y web sh",
            "exec failed: invalid --cgroup argument(s): controller a specified multiple times",
            255,
        ),
    ] {
        assert_eq!(failure(line), (error.to_owned(), code), "{line}");
    }
    let empty = parse(["state".into(), "".into()]);
    let Ok(Request::Run(_, Err(empty))) = empty else { panic!("{empty:?}") };
    assert_eq!(empty.error.to_string(), "container id cannot be empty");
}

#[test]
fn global_errors() {
    assert_eq!(failure("--log-format xml list"), ("invalid log-format: xml".into(), 1));
    assert_eq!(failure("--root / list").0, "Option --root argument should not be set to /");
    assert_eq!(failure("--rootless maybe list").0, "invalid value \"maybe\" for --rootless");
}

#[test]
fn an_error_of_the_command_knows_the_log() {
    let Ok(Request::Run(global, Err(failure))) = request("--log /l --root /r create") else {
        panic!("the global options are lost")
    };
    assert_eq!(global.log.as_deref(), Some(Path::new("/l")));
    assert_eq!(failure.code, 1);
}

#[test]
fn texts() {
    for line in ["", "help", "-h", "--help", "-help", "--help create", "--debug", "--root /x"] {
        assert!(text(line).starts_with("NAME:\n   hull - "), "{line}");
    }
    for line in ["create -h", "help create", "create --help a b c", "create x -h"] {
        assert!(text(line).starts_with("NAME:\n   hull create - "), "{line}");
    }
    for line in ["-v", "--version", "-version"] {
        assert!(text(line).starts_with("hull version "), "{line}");
    }
}

#[test]
fn flag_definitions_are_sound() {
    for entry in &ENTRIES {
        // Panics, in debug builds, on names given twice.
        crate::cli::help::entry_definition(entry).debug_assert();
    }
    crate::cli::help::global_definition().debug_assert();
}
