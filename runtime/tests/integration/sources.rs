//! Where bind mounts come from and where mounts go: sources that only the container has, that its
//! root may not reach or whose flags the host has set; destinations behind links.

use crate::harness::{Container, mount, namespace};
use crate::needs::{Kind, kind, lacks};
use nix::mount::{MsFlags, umount};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// Host id that the container's root is mapped to.
const BASE: u32 = 100_000;

fn mapping() -> Value {
    json!([{"containerID": 0, "hostID": BASE, "size": 65536}])
}

fn user_namespace(spec: &mut Value) {
    namespace(spec, "user", None);
    spec["linux"]["uidMappings"] = mapping();
    spec["linux"]["gidMappings"] = mapping();
}

/// Where the container's root has to make mount points.
fn own(rootfs: &Path) {
    for dir in ["", "dev", "proc", "sys"] {
        chown(rootfs.join(dir), Some(BASE), Some(BASE)).unwrap();
    }
}

/// The container of a test, with or without a user namespace.
fn container(script: &str, user: bool) -> Container {
    let c = Container::sh(script);
    if !user {
        return c;
    }
    own(&c.rootfs(""));
    c.edit(user_namespace)
}

/// Sources are what earlier mounts of the same container made of its root, where the bundle's
/// owner alone may look.
fn chain_of_sources(user: bool, idmap: bool) {
    let c = container("cat /final/x/y/file; stat -c %u /final/x/y/file", user);
    for dir in ["a/x", "b/y", "c"] {
        fs::create_dir_all(c.path("source").join(dir)).unwrap();
    }
    c.write("source/c/file", "from c\n");
    symlink("b", c.path("source/link")).unwrap();
    fs::set_permissions(c.path("source"), Permissions::from_mode(0o750)).unwrap();
    let (sources, root) = (c.text("source"), c.text("rootfs"));
    for dir in ["mnt", "final"] {
        fs::create_dir(c.rootfs(dir)).unwrap();
    }
    let c = c.edit(|s| {
        mount(s, "/mnt", "bind", &format!("{sources}/a"), &["rbind"]);
        mount(s, "/mnt/x", "bind", &format!("{sources}/link"), &["bind"]);
        // The destination may name the root as the host knows it.
        mount(s, &format!("{root}/mnt/x/y"), "bind", &format!("{sources}/c"), &["bind"]);
        mount(s, "/final", "bind", &format!("{root}/mnt"), &["rbind"]);
        if idmap {
            let last = s["mounts"].as_array_mut().unwrap().last_mut().unwrap();
            last["options"] = json!(["rbind", "ridmap"]);
            last["uidMappings"] = mapping();
            last["gidMappings"] = mapping();
        }
    });
    let owner = match (user, idmap) {
        (false, true) => "100000",
        (true, false) => "65534",
        (false, false) | (true, true) => "0",
    };
    assert_eq!(c.run().ok(), format!("from c\n{owner}\n"), "user {user}, idmap {idmap}");
}

#[test]
fn sources_may_be_what_earlier_mounts_made() {
    lacks!(Kind::Crun(..) => "takes no destination that starts with the root's path");
    chain_of_sources(false, false);
    lacks!(Kind::Runc(1, ..2) => "opens sources in a user namespace before any mount is made");
    chain_of_sources(true, false);
    chain_of_sources(false, true);
    chain_of_sources(true, true);
}

/// A mount of the host's, gone when the test is over.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(path: PathBuf, flags: MsFlags) -> Self {
        fs::create_dir_all(&path).unwrap();
        nix::mount::mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .unwrap();
        let mounted = Self(path);
        let none = None::<&str>;
        // On the mount, not on the file system below it.
        let flags = flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
        nix::mount::mount(none, &mounted.0, none, flags, none).unwrap();
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        umount(&self.0).unwrap();
    }
}

/// The flags of a bind mount of a host's tmpfs, or the error.
fn bind_flags(host: MsFlags, options: &[&str], user: bool) -> Result<String, String> {
    let c = container("grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6", user);
    let mounted = Mounted::tmpfs(c.path("source"), host);
    let source = c.text("source");
    let c = c.edit(|s| mount(s, "/m", "bind", &source, options));
    fs::create_dir(c.rootfs("m")).unwrap();
    let outcome = c.run();
    drop(mounted);
    if outcome.code == 0 { Ok(outcome.out.trim().to_owned()) } else { Err(outcome.err) }
}

#[test]
fn a_bind_mount_without_options_keeps_the_hosts_flags() {
    lacks!(Kind::Crun(..) => "takes the default flags");
    let host = MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME;
    for user in [false, true] {
        assert_eq!(bind_flags(host, &["bind"], user).as_deref(), Ok("ro,noexec,noatime"));
    }
}

#[test]
fn options_of_a_bind_mount_replace_the_hosts_flags() {
    lacks!(Kind::Runc(1, ..2) => "adds to them", Kind::Crun(..) => "adds to them");
    let noexec = MsFlags::MS_NOEXEC | MsFlags::MS_RELATIME;
    for (host, options, want) in [
        (MsFlags::MS_RDONLY | noexec, &["bind", "nosuid"][..], "rw,nosuid,relatime"),
        (MsFlags::MS_RDONLY | noexec, &["bind", "dev"], "rw,relatime"),
        // A policy for access times that is only cleared is none: the host's stays.
        (MsFlags::MS_NOATIME, &["bind", "atime", "ro"], "ro,noatime"),
        (MsFlags::MS_NOATIME, &["bind", "norelatime"], "rw,noatime"),
        (MsFlags::MS_NOATIME, &["bind", "relatime"], "rw,relatime"),
        (MsFlags::MS_NOATIME, &["bind", "nodiratime"], "rw,nodiratime,relatime"),
        (MsFlags::MS_NODIRATIME, &["bind", "strictatime"], "rw"),
    ] {
        assert_eq!(bind_flags(host, options, false).as_deref(), Ok(want), "{host:?} {options:?}");
    }
}

/// In a user namespace what the host forbids on a mount stays forbidden, and access times stay as
/// they are; asking for anything else is an error (mount_namespaces(7)).
#[test]
fn flags_of_the_hosts_mounts_stay_in_a_user_namespace() {
    lacks!(Kind::Runc(1, ..2) => "has other rules", Kind::Crun(..) => "has other rules");
    let relatime = MsFlags::MS_RELATIME;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | relatime;
    for (host, options, want) in [
        (quiet, &["bind", "ro"][..], Ok("ro,nosuid,nodev,relatime")),
        (quiet, &["bind", "suid"], Err("nosuid")),
        (quiet | MsFlags::MS_RDONLY, &["bind", "noexec"], Ok("ro,nosuid,nodev,noexec,relatime")),
        (MsFlags::MS_RDONLY | relatime, &["bind", "rw"], Err("ro")),
        (MsFlags::MS_NOEXEC | relatime, &["bind", "ro", "exec"], Err("noexec")),
        (relatime, &["bind", "noatime"], Err("atime")),
        (MsFlags::MS_NOATIME, &["bind", "relatime"], Err("atime")),
        (MsFlags::MS_NOATIME, &["bind", "ro", "noatime"], Ok("ro,noatime")),
    ] {
        let got = bind_flags(host, options, true);
        match want {
            Ok(want) => assert_eq!(got.as_deref(), Ok(want), "{host:?} {options:?}"),
            Err(name) => {
                let error = got.expect_err(&format!("{host:?} {options:?}"));
                assert!(error.contains("operation not permitted"), "{error}");
                assert!(kind() != Kind::Hull || error.contains(name), "{error}");
            }
        }
    }
}

/// A mount below the source is left out by `bind`; in a user namespace the kernel would refuse to
/// uncover what it hides in the container's own copy of the mount table.
#[test]
fn one_mount_of_a_tree_in_a_user_namespace() {
    lacks!(
        Kind::Runc(..) => "is refused by the kernel there",
        Kind::Crun(..) => "has other rules for the host's flags",
    );
    let c = container("ls /m/below; grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6", true);
    let outer = Mounted::tmpfs(c.path("source"), MsFlags::MS_NOSUID | MsFlags::MS_RELATIME);
    fs::create_dir(c.path("source/below")).unwrap();
    c.write("source/below/hidden", "");
    let inner = Mounted::tmpfs(c.path("source/below"), MsFlags::empty());
    let source = c.text("source");
    fs::create_dir(c.rootfs("m")).unwrap();
    let mut c = c.edit(|s| mount(s, "/m", "bind", &source, &[]));
    let mut run = |options: Value| {
        c.spec["mounts"].as_array_mut().unwrap().last_mut().unwrap()["options"] = options;
        c.run()
    };
    let shown = run(json!(["bind"]));
    let read_only = run(json!(["bind", "ro"]));
    let refused = run(json!(["bind", "suid"]));
    drop((inner, outer));
    assert_eq!(shown.ok(), "hidden\nrw,nosuid,relatime\n");
    assert_eq!(read_only.ok(), "hidden\nro,nosuid,relatime\n");
    assert!(refused.fails().contains("locked the source's nosuid"));
}

#[test]
fn a_missing_source_in_a_user_namespace_is_an_error() {
    let c = container("true", true).edit(|s| mount(s, "/m", "bind", "/no/such", &["bind"]));
    let error = c.run().fails();
    assert!(error.to_lowercase().contains("no such file"), "{error}");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}

#[test]
fn destinations_behind_links_that_lead_nowhere_are_made() {
    lacks!(Kind::Runc(1, ..2) => "came with 1.3", Kind::Crun(..) => "refuses them");
    let c = Container::sh("cat /etc/hosts; readlink /etc/hosts; ls /tmp/deep/er; ls /outside");
    symlink("/jump/hosts", c.rootfs("etc/hosts")).unwrap();
    symlink("../../tmp/deep/er", c.rootfs("jump")).unwrap();
    symlink("../../../../../../outside", c.rootfs("out")).unwrap();
    let source = c.write("source", "bound\n").to_str().unwrap().to_owned();
    let c = c.edit(|s| {
        mount(s, "/etc/hosts", "bind", &source, &["bind"]);
        mount(s, "/out/dir", "tmpfs", "tmpfs", &[]);
    });
    assert_eq!(c.run().ok(), "bound\n/jump/hosts\nhosts\ndir\n");
    assert!(!Path::new("/outside").exists());
}

#[test]
fn a_loop_of_links_is_no_destination() {
    lacks!(Kind::Crun(..) => "has its own words");
    let c = Container::new(&["true"]);
    symlink("loop", c.rootfs("loop")).unwrap();
    let c = c.edit(|s| mount(s, "/loop/x", "tmpfs", "tmpfs", &[]));
    let error = c.run().fails();
    assert!(error.to_lowercase().contains("too many levels of symbolic links"), "{error}");
    assert!(c.leftovers().is_empty(), "{:?}", c.leftovers());
}
