//! `deck bundle`: from an image to a bundle that hull runs, by its command line.

use crate::archives::load;
use crate::fixture::{Layer, config_of, docker_archive_of};
use crate::harness::{Home, bad, deck, good, run};
use crate::hostile::content;
use nix::mount::{MntFlags, umount2};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:w:/srv:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\nwww:x:34:\nadm:x:4:www\nlog:x:44:\n";

/// A layer that has a shell, and users.
fn base() -> Layer {
    let busybox = fs::read("/bin/busybox").unwrap();
    let mut layer = Layer::new().dir("bin/", 0o755).program("bin/busybox", &busybox);
    for applet in ["sh", "id", "cat", "touch", "grep"] {
        layer = layer.hard(&format!("bin/{applet}"), "bin/busybox");
    }
    for dir in ["proc/", "sys/", "dev/", "tmp/", "srv/", "data/"] {
        layer = layer.dir(dir, 0o777);
    }
    layer.file("data/seed", b"from the image")
}

fn users() -> Layer {
    base().dir("etc/", 0o755).file("etc/passwd", PASSWD).file("etc/group", GROUP)
}

/// A store with one image, `made:1`.
fn home(layer: Layer, run: &Value) -> Home {
    let home = Home::new();
    let layers = [layer.done()];
    load(&home.images(), docker_archive_of("made:1", &config_of(&layers, run), &layers)).unwrap();
    home
}

/// hull as the Makefile builds it, or the one named.
fn hull() -> PathBuf {
    let path = std::env::var_os("DECK_TEST_HULL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/hull"),
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "no hull at {}: make build, or name it in DECK_TEST_HULL",
        path.display()
    );
    path
}

fn bundle(home: &Home, args: &[&str]) -> PathBuf {
    let dir = home.dir.path().join("bundle");
    let mut command = deck(home);
    // After `--` comes the command.
    let flags = args.iter().take_while(|arg| **arg != "--").count();
    command.arg("bundle").args(&args[..flags]).args(["made:1", dir.to_str().unwrap()]);
    let printed = good(command.args(args.iter().skip(flags + 1)));
    assert_eq!(printed.trim(), dir.to_str().unwrap());
    dir
}

fn spec(bundle: &Path) -> Value {
    serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap()
}

/// Runs a bundle with hull, and gives what it printed.
#[track_caller]
fn runs(home: &Home, bundle: &Path) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let id = format!("deck-bundle-{}-{count}", std::process::id());
    let root = home.dir.path().join("hull");
    let mut command = Command::new(hull());
    command.arg("--root").arg(root).args(["run", "-b"]).arg(bundle).arg(id);
    good(command.stdin(std::process::Stdio::null()))
}

fn shell(script: &str) -> Value {
    json!({
        "Entrypoint": ["/bin/sh", "-c"], "Cmd": [script],
        "Env": ["PATH=/bin", "A=image", "B=image"], "WorkingDir": "/srv", "User": "www",
        "Labels": {"l": "v", "run.oci.hooks": "bad"}, "StopSignal": "SIGQUIT",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/data": {}},
    })
}

const WHO: &str = "id -u; id -g; id -G; echo $A $B $HOME $PWD; cat /data/seed";

#[test]
fn an_image_becomes_a_bundle_that_runs() {
    let home = home(users(), &shell(WHO));
    let dir = bundle(&home, &[]);
    assert_eq!(runs(&home, &dir), "33\n34\n34 4\nimage image /srv /srv\nfrom the image");
    let spec = spec(&dir);
    let notes = &spec["annotations"];
    for (name, value) in [
        ("os", "linux"),
        ("architecture", deck::image::Platform::host().architecture.as_str()),
        ("author", "somebody"),
        ("created", "2026-01-02T03:04:05Z"),
        ("stopSignal", "SIGQUIT"),
        ("exposedPorts", "53/udp,80/tcp"),
    ] {
        assert_eq!(notes[format!("org.opencontainers.image.{name}")], value, "{name}");
    }
    assert_eq!((&notes["l"], &notes["run.oci.hooks"]), (&json!("v"), &Value::Null));
    // Docker's defaults: capabilities, and a filter.
    assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
    assert_eq!(spec["process"]["capabilities"]["effective"], json!([]));
    assert!(spec["linux"]["seccomp"]["syscalls"].as_array().unwrap().len() > 10);
    // A second one does not go over the first.
    let again = bad(deck(&home).args(["bundle", "made:1"]).arg(&dir));
    assert!(again.contains("not empty"), "{again}");
}

#[test]
fn what_a_volume_holds_is_no_part_of_the_root() {
    let home = home(users(), &shell("echo new >/data/new; cat /data/seed; echo x >/data/seed"));
    let dir = bundle(&home, &["-u", "0"]);
    let mounts = spec(&dir)["mounts"].clone();
    let volume = mounts.as_array().unwrap().iter().find(|m| m["destination"] == "/data").unwrap();
    assert_eq!(runs(&home, &dir), "from the image");
    let source = dir.join(volume["source"].as_str().unwrap());
    assert_eq!(fs::read_to_string(source.join("new")).unwrap(), "new\n");
    assert!(!dir.join("rootfs/data/new").exists());
    assert_eq!(fs::read_to_string(dir.join("rootfs/data/seed")).unwrap(), "from the image");
}

#[test]
fn flags_override_the_image() {
    let home = home(users(), &shell(WHO));
    let dir = bundle(
        &home,
        &[
            "-e",
            "A=flag",
            "-e",
            "B",
            "-u",
            "5:log",
            "--group-add",
            "adm",
            "-w",
            "/tmp",
            "--hostname",
            "box",
            "--read-only",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "KILL",
            "--annotation",
            "own=1",
            "--label",
            "l=w",
            "--stop-signal",
            "SIGINT",
            "-m",
            "64m",
            "--pids-limit",
            "7",
            "--ulimit",
            "nofile=64:64",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            "seccomp=unconfined",
            "--device",
            "/dev/full:/dev/own:r",
            "--tmpfs",
            "/tmp:size=1m",
            "-v",
            "/tmp:/host:ro",
            "--network",
            "none",
            "--oom-score-adj",
            "7",
            "--entrypoint",
            "/bin/sh",
            "--",
            "-c",
            "id -u; id -g; id -G; echo $A ${B-none} $PWD; cat /proc/sys/kernel/hostname; \
             grep CapBnd /proc/self/status; touch /srv/x 2>/dev/null || echo read-only; \
             touch /host/x 2>/dev/null || echo and there",
        ],
    );
    let printed = runs(&home, &dir);
    assert_eq!(
        printed,
        "5\n44\n44 4\nflag none /tmp\nbox\nCapBnd:\t0000000000000020\nread-only\nand there\n"
    );
    let spec = spec(&dir);
    let (process, linux) = (&spec["process"], &spec["linux"]);
    assert_eq!(spec["annotations"]["own"], "1");
    assert_eq!(spec["annotations"]["l"], "w");
    assert_eq!(spec["annotations"]["org.opencontainers.image.stopSignal"], "SIGINT");
    assert_eq!(linux["resources"]["memory"]["limit"], 64 << 20);
    assert_eq!(linux["resources"]["pids"]["limit"], 7);
    assert_eq!(linux["sysctl"]["net.ipv4.ip_forward"], "1");
    assert_eq!(linux["seccomp"], Value::Null);
    assert_eq!(process["noNewPrivileges"], true);
    assert_eq!(process["oomScoreAdj"], 7);
    assert_eq!(process["rlimits"][0], json!({"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}));
    assert!(linux["devices"].as_array().unwrap().iter().any(|d| d["path"] == "/dev/own"));
    // What only an engine can do is refused, and nothing is left.
    let other = home.dir.path().join("other");
    for flags in [
        &["--ipc", "container:x"][..],
        &["--pid", "container:x"],
        &["-v", "named:/x"],
        &["--volumes-from", "x"],
        &["--storage-opt", "size=1g"],
        &["--stop-timeout", "3"],
        &["--network", "bridge"],
        &["--cap-add", "NONSENSE"],
        &["-u", "nobody-here"],
        &["--entrypoint", ""],
    ] {
        bad(deck(&home).arg("bundle").args(flags).arg("made:1").arg(&other));
        assert!(!other.exists(), "{flags:?}");
    }
}

#[test]
fn it_is_what_umoci_makes_of_the_same_image() {
    let home = home(users(), &shell(WHO));
    let ours = spec(&bundle(&home, &[]));
    let saved = home.dir.path().join("saved.tar");
    good(deck(&home).args(["save", "made:1", "-o"]).arg(&saved));
    let (layout, theirs) = (home.dir.path().join("layout"), home.dir.path().join("theirs"));
    let image = format!("{}:x", layout.display());
    let source = format!("oci-archive:{}", saved.display());
    run("skopeo", &["copy", "-q", &source, &format!("oci:{image}")]);
    run("umoci", &["unpack", "--image", &image, theirs.to_str().unwrap()]);
    let theirs = spec(&theirs);
    for member in ["args", "cwd"] {
        assert_eq!(ours["process"][member], theirs["process"][member], "{member}");
    }
    let user = |spec: &Value| {
        let user = &spec["process"]["user"];
        let mut groups = user["additionalGids"].as_array().cloned().unwrap_or_default();
        // Whether the first group is told once more is a matter of taste.
        groups.retain(|group| *group != user["gid"]);
        (user["uid"].clone(), user["gid"].clone(), groups)
    };
    assert_eq!(user(&ours), user(&theirs));
    let env = |spec: &Value| spec["process"]["env"].as_array().unwrap().clone();
    for entry in env(&theirs) {
        assert!(entry == "TERM=xterm" || env(&ours).contains(&entry), "{entry}");
    }
    for (name, value) in theirs["annotations"].as_object().unwrap() {
        let listed = |value: &Value| {
            let mut words: Vec<String> =
                value.as_str().unwrap_or_default().split(',').map(str::to_owned).collect();
            words.sort();
            words
        };
        if name != "run.oci.hooks" {
            assert_eq!(listed(&ours["annotations"][name]), listed(value), "{name}");
        }
    }
    let mounted = |spec: &Value| -> Vec<String> {
        let mounts = spec["mounts"].as_array().unwrap();
        mounts.iter().map(|mount| mount["destination"].as_str().unwrap().to_owned()).collect()
    };
    assert!(mounted(&theirs).contains(&"/data".to_owned()));
    assert!(mounted(&ours).contains(&"/data".to_owned()));
}

/// Unmounts what a failed test left.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn an_overlay_bundle_keeps_its_layers_until_it_is_removed() {
    let home = home(users(), &shell("echo changed >/etc/passwd; cat /etc/passwd"));
    let dir = bundle(&home, &["--overlay", "-u", "0"]);
    let _mounted = Mounted(dir.join("rootfs"));
    assert_eq!(runs(&home, &dir), "changed\n");
    // The layer below is as it was, and the image may go.
    let layers = || fs::read_dir(home.store().join("layers")).unwrap();
    let layer = layers().next().unwrap().unwrap().path();
    assert_eq!(fs::read(layer.join("diff/etc/passwd")).unwrap(), PASSWD);
    good(deck(&home).args(["rmi", "made:1"]));
    assert_eq!(layers().count(), 1);
    assert_eq!(fs::read_to_string(dir.join("rootfs/etc/passwd")).unwrap(), "changed\n");
    good(deck(&home).args(["bundle", "--remove"]).arg(&dir));
    assert!(!dir.exists());
    assert_eq!(content(&home), Vec::<String>::new());
    let nothing = bad(deck(&home).args(["bundle", "--remove"]).arg(&dir));
    assert!(nothing.contains("bundle"), "{nothing}");
}

#[test]
fn only_bundles_are_removed() {
    let home = home(users(), &shell(WHO));
    let dir = home.dir.path().join("precious");
    fs::create_dir_all(dir.join("rootfs")).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    let error = bad(deck(&home).args(["bundle", "--remove"]).arg(&dir));
    assert!(error.contains("no bundle"), "{error}");
    assert!(dir.join("file").exists());
}

#[test]
fn users_of_hostile_images_are_looked_up_inside() {
    let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let up = "../".repeat(12);
    let bare = || base().dir("etc/", 0o755);
    // Links that would lead out, had they been followed on the host: they lead nowhere.
    for target in ["/etc/passwd", &format!("{up}etc/passwd"), "/proc/self/root/etc/passwd"] {
        let home = home(bare().link("etc/passwd", target), &shell(WHO));
        let error = bad(deck(&home)
            .args(["bundle", "-u", "daemon", "made:1"])
            .arg(home.dir.path().join("b")));
        assert!(error.contains("passwd"), "{error}");
        assert!(host.trim().is_empty() || !error.contains(host.trim()), "{error}");
    }
    // Within the root a link is as good as a file.
    let linked = bare().file("srv/users", PASSWD).link("etc/passwd", "/srv/users");
    let found = home(linked, &shell("id -u"));
    assert_eq!(runs(&found, &bundle(&found, &[])), "33\n");
    let big = vec![b'#'; (16 << 20) + 1];
    for layer in [
        bare().fifo("etc/passwd"),
        bare().null("etc/passwd"),
        bare().dir("etc/passwd/", 0o755),
        bare().file("etc/passwd", &big),
        bare().file("etc/passwd", PASSWD).fifo("etc/group"),
    ] {
        let home = home(layer, &shell(WHO));
        let before = content(&home);
        let dir = home.dir.path().join("b");
        let error = bad(deck(&home).args(["bundle", "--overlay", "made:1"]).arg(&dir));
        assert!(error.contains("of the image"), "{error}");
        assert!(!dir.exists());
        assert_eq!(content(&home), before);
    }
    // Numbers that are no ids.
    for user in ["4294967295", "-1", "0:4294967296", "root:none"] {
        let home = home(users(), &json!({"Cmd": ["/bin/sh"], "User": user}));
        bad(deck(&home).args(["bundle", "made:1"]).arg(home.dir.path().join("b")));
    }
}
