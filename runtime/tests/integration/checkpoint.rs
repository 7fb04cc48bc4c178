//! `checkpoint` and `restore`: hull's side with a stand-in for CRIU, and the whole with CRIU where
//! it works.

use crate::criu::Criu;
use crate::harness::{Container, Outcome, eventually, mount, namespace, skip};
use crate::tty::receiver;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Ends the test on runtimes that ask CRIU in another way.
macro_rules! only_hull {
    () => {
        if crate::needs::kind() != crate::needs::Kind::Hull {
            return crate::harness::skip("speaks with CRIU in its own way");
        }
    };
}
pub(crate) use only_hull;

#[test]
fn criu_is_told_what_comes_from_the_outside() {
    only_hull!();
    let mut c = Container::sleeping();
    fs::create_dir_all(c.path("data")).unwrap();
    fs::create_dir_all(c.rootfs("real")).unwrap();
    std::os::unix::fs::symlink("/real", c.rootfs("link")).unwrap();
    let data = c.text("data");
    mount(&mut c.spec, "/link", "bind", &data, &["bind"]);
    c.spec["linux"]["maskedPaths"] = json!(["/proc/version", "/proc/acpi", "/nowhere"]);
    let c = c.up();
    let (criu, pid) = (Criu::new(&c), c.pid());
    let (images, work) = (c.text("images"), c.text("work"));
    let flags = [
        &["checkpoint", "--image-path", &images, "--work-path", &work][..],
        &["--page-server", "127.0.0.1:7", "--empty-ns", "network", "--tcp-established"],
        &["--tcp-skip-in-flight", "--link-remap", "--ext-unix-sk", "--shell-job", "--file-locks"],
        &["--auto-dedup", "--manage-cgroups-mode", "strict", &c.id],
    ];
    criu.call(&c, &flags.concat()).ok();
    let asked = criu.asked();
    let rootfs = format!("13={}", c.text("rootfs"));
    let network = format!("38={}", nix::libc::CLONE_NEWNET);
    for wanted in [
        &*format!("2={pid}"),
        &rootfs,
        &network,
        "4=1",
        "5=1",
        "7=1",
        "8=1",
        "10=dump.log",
        "11:127.0.0.1=7",
        "12=1",
        "16=1",
        "18=1",
        "23:/real=/link",
        "23:/proc/version=/dev/null",
        "34=5",
        "46=1",
        "50=1",
    ] {
        assert!(asked.iter().any(|line| line == wanted), "{wanted} in {asked:#?}");
    }
    assert!(!asked.iter().any(|line| line.starts_with("3=") || line.contains("nowhere")));
    assert!(asked.iter().any(|line| line.starts_with("44=/sys/fs/cgroup")), "{asked:#?}");
    let streams = fs::read_to_string(c.path("images/descriptors.json")).unwrap();
    assert_eq!(streams, r#"["","",""]"#);
    assert!(c.path("work").is_dir());
    assert!(c.call(&["state", &c.id]).fails().contains("does not exist"));
    assert_eq!(c.leftovers(), [""; 0]);
}

#[test]
fn a_container_may_go_on_after_its_checkpoint() {
    only_hull!();
    let c = Container::sleeping().up();
    let criu = Criu::new(&c);
    let images = c.text("images");
    let checkpoint = ["checkpoint", "--image-path", &images];
    criu.call(&c, &[&checkpoint[..], &["--leave-running", &c.id]].concat()).ok();
    assert_eq!(c.status(), "running");
    let early = criu.call(&c, &[&checkpoint[..], &["--pre-dump", &c.id]].concat()).fails();
    assert!(early.contains("lacks tracking of memory changes"), "{early}");
    criu.set("features", "");
    criu.call(&c, &[&checkpoint[..], &["--pre-dump", &c.id]].concat()).ok();
    assert_eq!(c.status(), "running");
    let parent = ["--parent-path", "../images", "--image-path", &c.text("next"), &c.id];
    criu.call(&c, &[&["checkpoint"], &parent[..]].concat()).ok();
    assert!(criu.asked().contains(&"14=../images".to_owned()), "{:?}", criu.asked());
    assert!(criu.asked().contains(&"15=1".to_owned()));
}

#[test]
fn the_status_descriptor_is_told_that_pages_are_served() {
    only_hull!();
    let c = Container::sleeping().up();
    let criu = Criu::new(&c);
    criu.set("features", "");
    let script = "PATH=$dir:$PATH HULL_TEST_CRIU=$dir $rt checkpoint --lazy-pages --status-fd 7 \
                  --image-path images $id 7>told && od -An -tx1 told";
    let script = script.replace("$dir", &c.text("criu-bin"));
    assert_eq!(c.host_sh(&script).ok().trim(), "00");
    assert!(criu.asked().contains(&"48=1".to_owned()));
}

#[test]
fn what_criu_cannot_dump_goes_on() {
    only_hull!();
    let c = Container::sleeping().up();
    let criu = Criu::new(&c);
    let checkpoint = ["checkpoint", "--image-path", &c.text("images"), &c.id];
    criu.set("fail", "no way");
    let said = criu.call(&c, &checkpoint).fails();
    assert!(said.contains("criu failed: no way; see "), "{said}");
    criu.set("version", "3 15 0");
    let said = criu.call(&c, &checkpoint).fails();
    assert!(said.contains("criu 3.15 is too old: 3.16 or later is needed"), "{said}");
    let mut without = c.command(&checkpoint);
    without.env("PATH", c.path("nothing"));
    let said = c.wait(without, "").fails();
    assert!(said.contains("criu is not in $PATH"), "{said}");
    assert_eq!(c.status(), "running");
}

#[test]
fn only_running_containers_can_be_checkpointed() {
    only_hull!();
    let c = Container::sleeping();
    c.create();
    let checkpoint = ["checkpoint", "--image-path", &c.text("images"), &c.id];
    let said = c.call(&checkpoint).fails();
    assert!(said.contains("Container cannot be checkpointed in created state"), "{said}");
    assert!(!c.path("images").exists());
    for (args, wanted) in [
        (["--page-server", "7"], "--page-server ADDRESS:PORT"),
        (["--manage-cgroups-mode", "some"], "invalid manage-cgroups-mode value"),
        (["--empty-ns", "pid"], "namespace \"pid\" is not supported"),
        (["--status-fd", "x"], "status-fd"),
    ] {
        let said = c.call(&[&["checkpoint"], &args[..], &[&c.id]].concat()).fails();
        assert!(said.contains(wanted), "{said}");
    }
    c.start();
    for (args, wanted) in [
        (["--parent-path", "/images"], "--parent-path must be relative"),
        (["--parent-path", "../none"], "invalid --parent-path"),
        (["--status-fd", "99"], "invalid --status-fd argument 99"),
    ] {
        let said = c.call(&[&["checkpoint"], &args[..], &[&c.id]].concat()).fails();
        assert!(said.contains(wanted), "{said}");
    }
}

/// Images that only tell of streams.
fn images(c: &Container) -> String {
    c.write("images/descriptors.json", r#"["pipe:[71]","","pipe:[72]"]"#);
    c.text("images")
}

#[test]
fn a_restored_container_is_one_like_any_other() {
    only_hull!();
    let mut c = Container::sleeping();
    let data = c.text("data");
    fs::create_dir_all(c.path("data")).unwrap();
    mount(&mut c.spec, "/data/deep", "bind", &data, &["bind"]);
    let hook = c.script("hook", &format!("cat >> {}", c.text("hooked")));
    c.spec["hooks"] = json!({"createRuntime": [{"path": hook}], "poststop": [{"path": hook}]});
    c.save();
    let (criu, images) = (Criu::new(&c), images(&c));
    let pid_file = c.text("pid");
    let args = ["--image-path", &images, "--pid-file", &pid_file, "--tcp-close", "--no-pivot"];
    criu.call(&c, &[&["restore", "--detach"], &args[..], &[&c.id]].concat()).ok();
    let asked = criu.asked();
    for wanted in ["10=restore.log", "26=1", "27:pipe:[71]=0", "27:pipe:[72]=4", "52=1"] {
        assert!(asked.iter().any(|line| line == wanted), "{wanted} in {asked:#?}");
    }
    assert!(asked.contains(&format!("23:/data/deep={data}")), "{asked:#?}");
    assert!(c.rootfs("data/deep").is_dir());
    assert_eq!(c.status(), "running");
    let pid = c.pid();
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), pid.to_string());
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(cgroups.contains(&c.id), "{cgroups}");
    let told = fs::read_to_string(c.path("hooked")).unwrap();
    assert!(told.contains(r#""status":"creating""#) && told.contains(&pid.to_string()), "{told}");
    assert!(!c.path("state").join(&c.id).join("criu-root").exists());
    let again = criu.call(&c, &["restore", "--detach", "--image-path", &images, &c.id]).fails();
    assert!(again.contains("already exists"), "{again}");
    c.kill("KILL").ok();
    c.stopped();
    c.delete(&[]).ok();
    assert!(fs::read_to_string(c.path("hooked")).unwrap().contains(r#""status":"stopped""#));
}

#[test]
fn a_failed_restore_leaves_nothing() {
    only_hull!();
    let c = Container::sleeping();
    c.save();
    let (criu, images) = (Criu::new(&c), images(&c));
    let restore = ["restore", "--detach", "--image-path", &images, &c.id.clone()];
    let none = criu.call(&c, &["restore", "--detach", "--image-path", "none", &c.id]).fails();
    assert!(none.contains("no checkpoint?"), "{none}");
    criu.set("fail", "no way");
    let said = criu.call(&c, &restore).fails();
    assert!(said.contains("criu failed: no way"), "{said}");
    assert_eq!(c.leftovers(), [""; 0]);
    fs::remove_file(c.path("criu-bin/fail")).unwrap();
    // A hook that fails when half of it is done.
    let hook = c.script("hook", "exit 3");
    let c = c.edit(|spec| spec["hooks"] = json!({"createRuntime": [{"path": hook}]}));
    c.save();
    let said = criu.call(&c, &restore).fails();
    assert!(said.contains("createRuntime hook"), "{said}");
    // The pid file can't be written when all of it is done.
    let c = c.edit(|spec| spec["hooks"] = json!({}));
    c.save();
    let said =
        criu.call(&c, &[&restore[..4], &["--pid-file", "/none/pid", &c.id]].concat()).fails();
    assert!(said.contains("/none"), "{said}");
    assert_eq!(c.leftovers(), [""; 0]);
    // Where a mount point can't be made, CRIU is not even started.
    let mut c = c;
    mount(&mut c.spec, "/data", "bind", "/no/such/source", &["bind"]);
    c.save();
    let said = criu.call(&c, &restore).fails();
    assert!(said.contains("mount point \"/data\""), "{said}");
}

#[test]
fn the_terminals_master_goes_to_the_console_socket() {
    only_hull!();
    let c = Container::sleeping().edit(|spec| spec["process"]["terminal"] = json!(true));
    c.save();
    let (criu, images) = (Criu::new(&c), images(&c));
    criu.set("terminal", "");
    let socket = c.text("console");
    let master = receiver(Path::new(&socket));
    let args = ["restore", "-d", "--console-socket", &socket, "--image-path", &images, &c.id];
    criu.call(&c, &args).ok();
    let (_, master) = master.join().unwrap();
    assert!(nix::unistd::isatty(&master).unwrap());
}

/// Whether CRIU works on this machine; if not, the test says why it ends.
pub fn works() -> bool {
    let check = Command::new("criu").arg("check").output();
    match check {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            skip(&format!("criu does not work here: {}", said.lines().next().unwrap_or_default()));
            false
        }
        Err(error) => {
            skip(&format!("criu: {error}"));
            false
        }
    }
}

/// A command whose container has streams that a checkpoint can do without.
pub fn quietly(c: &Container, line: &str) -> Outcome {
    c.host_sh(&format!(
        "$rt --log log {line} $id </dev/null >/dev/null 2>&1 || {{ cat log >&2; exit 1; }}"
    ))
}

#[test]
fn processes_go_on_where_they_were() {
    only_hull!();
    if !works() {
        return;
    }
    let script = "n=0; while true; do n=$((n+1)); echo $n > /count; sleep 0.02; done";
    let mut c = Container::sh(script);
    fs::create_dir_all(c.path("data")).unwrap();
    let data = c.text("data");
    mount(&mut c.spec, "/mnt/data", "bind", &data, &["bind", "ro"]);
    namespace(&mut c.spec, "cgroup", None);
    c.spec["linux"]["maskedPaths"] = json!(["/proc/version", "/proc/acpi", "/proc/keys"]);
    c.spec["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    let count = || fs::read_to_string(c.rootfs("count")).unwrap_or_default().trim().parse::<u64>();
    quietly(&c, "run --detach").ok();
    // CRIU's own mode for control groups, and that in which it leaves them alone.
    for mode in ["", "--manage-cgroups-mode ignore"] {
        eventually("it counts", || count().is_ok_and(|count| count > 20));
        quietly(&c, &format!("checkpoint {mode} --image-path images")).ok();
        assert_eq!(c.leftovers(), [""; 0]);
        // The loop may have been between opening the file and writing it.
        let before = count().unwrap_or(20);
        quietly(&c, &format!("restore --detach {mode} --image-path images")).ok();
        eventually("it goes on", || count().is_ok_and(|count| count > before + 5));
        // From where it was, not from the start.
        assert!(count().unwrap_or(before) >= before);
        c.exec("test -e /mnt/data && ! echo > /mnt/data/x && ls /proc/acpi").ok();
        let links = c.exec("readlink /proc/1/ns/time; readlink /proc/self/ns/time").ok();
        let mut links = links.lines();
        assert_eq!(links.next(), links.next());
    }
    c.kill("KILL").ok();
    c.stopped();
}
