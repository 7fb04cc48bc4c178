//! The published attack classes of container runtimes, re-enacted without harm: every case acts
//! only on files below its own directory.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use serde_json::json;

use crate::case::{Builder, Case, Stop, Verdict, case, ensure, equal, fail};
use crate::container::parse;
use crate::context::Context;
use crate::mutant::{Break, drops, pretends, sets};
use crate::needs::Need;
use crate::observation::Mount;
use crate::runtime::read;

/// The chapter.
pub fn cases() -> Vec<Case> {
    let mut all = descriptors();
    all.extend(links());
    all.extend(proc());
    all.extend(privileges());
    all.extend(exec());
    all.extend(host());
    all.extend(image_files());
    all
}

fn attack(name: &str, advisories: &str) -> Builder {
    case(format!("security/{name}")).cites(format!("{advisories}: public advisory"))
}

/// A directory of the host that no container may reach.
fn outside(c: &Context) -> Result<PathBuf, Stop> {
    let path = c.driver.dir.join("outside");
    std::fs::create_dir_all(&path)?;
    std::fs::write(path.join("secret"), "secret")?;
    Ok(path)
}

/// The directory is as it was, and nothing is mounted on it.
fn untouched(path: &std::path::Path) -> Verdict {
    let names: Vec<_> = std::fs::read_dir(path)?.flatten().map(|e| e.file_name()).collect();
    equal("the host's directory", &names, &["secret"])?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let text = path.display().to_string();
    ensure(!mounts.contains(&text), || "something is mounted on the host's directory".into())
}

/// Leaves a descriptor of the host's directory open across exec, as a careless caller would.
fn leak(c: &Context) -> Result<i32, Stop> {
    let directory = std::fs::File::open(outside(c)?)?;
    let copy = nix::fcntl::fcntl(&directory, nix::fcntl::FcntlArg::F_DUPFD(20))?;
    ensure(directory.as_raw_fd() != copy, || "no copy".into())?;
    let _ = directory.into_raw_fd();
    Ok(copy)
}

fn descriptors() -> Vec<Case> {
    const ADVISORIES: &str = "CVE-2016-9962, CVE-2024-21626";
    vec![
        attack("no-descriptor-leaks", ADVISORIES).breaks(Break::Leak).runs(|c| {
            leak(c)?;
            let seen = c.observe()?;
            only_stdio(c, &seen.fds)
        }),
        attack("no-descriptor-leaks-to-exec", ADVISORIES).breaks(Break::Leak).runs(|c| {
            c.stay(&[]);
            let container = c.start()?;
            leak(c)?;
            let seen = container.exec_seen(&[], &[])?;
            only_stdio(c, &seen.fds)
        }),
        attack("cwd-through-a-descriptor", ADVISORIES).breaks(Break::Hang).runs(|c| {
            let number = leak(c)?;
            for number in [3, 4, 5, 6, 7, 8, 9, 10, number] {
                c.set("/process/cwd", format!("/proc/self/fd/{number}"));
                c.request(&["list:.", "read:secret"]);
                let (container, output) = c.try_create()?;
                ensure(output.exit.is_some(), || format!("create {}", output.summary()))?;
                if !output.ok() || !container.call("start", &[])?.ok() {
                    continue;
                }
                let seen = container.seen()?;
                let out = seen.tried("read:secret").worked() || seen.cwd.contains("unreach");
                ensure(!out, || format!("descriptor {number} leads outside: {}", seen.cwd))?;
            }
            Ok(())
        }),
        attack("session-keyring-of-its-own", "CVE-2014-9922 class")
            .breaks(Break::Refuse("start".into()))
            .runs(|c| {
                let seen = c.observe()?.keyring;
                let own = crate::sys::session_keyring().unwrap_or_default();
                c.saw(format!("{seen} inside, {own} outside"));
                ensure(seen != own || own.is_empty(), || "the caller's keyring".into())
            }),
        attack("no-terminal-of-the-caller", "CVE-2017-5226")
            .breaks(Break::Refuse("start".into()))
            .runs(|c| {
                c.request(&["tiocsti:", "open:/dev/tty"]);
                let seen = c.observe()?;
                ensure(!seen.tried("tiocsti:").worked(), || "TIOCSTI works".into())?;
                equal("opening /dev/tty", seen.tried("open:/dev/tty").errno.as_str(), "ENXIO")
            }),
    ]
}

fn only_stdio(c: &mut Context, fds: &std::collections::BTreeMap<i32, String>) -> Verdict {
    c.saw(format!("{fds:?}"));
    let extra: Vec<_> = fds.iter().filter(|(number, _)| **number > 2).collect();
    ensure(extra.is_empty(), || format!("open in the container: {extra:?}"))
}

/// Mount destinations that lead out of the root through links of the image.
fn links() -> Vec<Case> {
    const ADVISORIES: &str = "CVE-2021-30465, CVE-2024-45310, CVE-2025-54867";
    let contained = |name: &str, make: fn(&mut Context, &std::path::Path) -> Verdict| {
        attack(name, ADVISORIES).needs(Need::Root).breaks(Break::Touch).runs(move |c| {
            let outside = outside(c)?;
            make(c, &outside)?;
            let (container, output) = c.try_create()?;
            c.saw(output.summary());
            // Still mounted: a look at the host, then at what is left.
            untouched(&outside)?;
            drop(container);
            untouched(&outside)
        })
    };
    vec![
        contained("destination-through-an-absolute-link", |c, outside| {
            symlink(outside, c.rootfs().join("escape"))?;
            c.mount("/escape/new", "tmpfs", "tmpfs", &[]);
            Ok(())
        }),
        contained("destination-is-a-link", |c, outside| {
            symlink(outside, c.rootfs().join("escape"))?;
            c.mount("/escape", "tmpfs", "tmpfs", &[]);
            Ok(())
        }),
        contained("destination-through-a-relative-link", |c, _| {
            symlink("../../outside", c.rootfs().join("escape"))?;
            c.mount("/escape/new", "tmpfs", "tmpfs", &[]);
            Ok(())
        }),
        contained("destination-with-parent-steps", |c, _| {
            c.mount("/etc/../../../outside/new", "tmpfs", "tmpfs", &[]);
            Ok(())
        }),
        contained("file-through-a-link", |c, outside| {
            let file = c.driver.dir.join("file");
            std::fs::write(&file, "")?;
            symlink(outside.join("made"), c.rootfs().join("escape"))?;
            c.mount("/escape", "none", &file.display().to_string(), &["bind"]);
            Ok(())
        }),
        contained("dev-is-a-link", |c, outside| {
            std::fs::remove_dir(c.rootfs().join("dev"))?;
            symlink(outside, c.rootfs().join("dev"))?;
            for _ in 0..3 {
                c.remove("/mounts/1");
            }
            Ok(())
        }),
        contained("device-through-a-link", |c, outside| {
            symlink(outside, c.rootfs().join("escape"))?;
            c.set(
                "/linux/devices",
                json!([
                {"path": "/escape/device", "type": "c", "major": 1, "minor": 3}]),
            );
            Ok(())
        }),
        contained("cwd-is-made-through-a-link", |c, outside| {
            symlink(outside, c.rootfs().join("escape"))?;
            c.set("/process/cwd", "/escape/new");
            Ok(())
        }),
    ]
}

fn proc() -> Vec<Case> {
    vec![
        attack("proc-is-a-link", "CVE-2019-16884, CVE-2023-27561, CVE-2023-28642")
            .needs(Need::Root)
            .breaks(drops("/mounts/0"))
            .runs(|c| {
                std::fs::remove_dir(c.rootfs().join("proc"))?;
                symlink("tmp", c.rootfs().join("proc"))?;
                c.request(&["stat:/proc", "stat:/proc/self"]);
                let (container, output) = c.try_create()?;
                if !output.ok() || !container.call("start", &[])?.ok() {
                    return Ok(());
                }
                let seen = container.seen()?;
                let real = seen.mounts.iter().any(|mount| mount.fstype == "proc");
                ensure(real, || "it runs with something else at /proc".into())
            }),
        attack("mount-over-proc-self", "CVE-2019-19921, CVE-2025-52881")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                c.mount("/proc/self/attr", "tmpfs", "tmpfs", &[]);
                c.refused()
            }),
        attack("mount-over-proc-sys", "CVE-2025-52881")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                c.mount("/proc/sys", "tmpfs", "tmpfs", &[]);
                c.refused()
            }),
        attack("mask-with-a-swapped-null", "CVE-2025-31133, CVE-2025-62161")
            .needs(Need::Root)
            .breaks(Break::Hang)
            .runs(|c| {
                // The image's /dev/null is a link; nothing is mounted over /dev.
                std::fs::write(c.rootfs().join("etc/file"), "secret")?;
                std::fs::write(c.rootfs().join("etc/other"), "swapped")?;
                symlink("/etc/other", c.rootfs().join("dev/null"))?;
                for _ in 0..3 {
                    c.remove("/mounts/1");
                }
                c.set("/linux/maskedPaths", json!(["/etc/file"]));
                c.request(&["read:/etc/file"]);
                let (container, output) = c.try_create()?;
                c.saw(output.summary());
                ensure(output.exit.is_some(), || "create hung".into())?;
                if !output.ok() || !container.call("start", &[])?.ok() {
                    return Ok(());
                }
                // A runtime that compares device numbers takes regular files for the swapped
                // null and lets the report go there.
                let swapped = c.rootfs().join("etc/other");
                container.wait()?;
                let report = format!("{}{}", container.output(), read(&swapped));
                let report = report.trim_start_matches("swapped");
                let text = parse(report)?.tried("read:/etc/file").value;
                ensure(text == "" || text.is_null(), || format!("the masked file reads {text}"))
            }),
        attack("sysctl-of-the-host", "CVE-2022-0811").needs(Need::Root).breaks(Break::Repair).runs(
            |c| {
                // A value the host has already: harmless where the case fails.
                let own = std::fs::read_to_string("/proc/sys/kernel/panic")?;
                c.set("/linux/sysctl", json!({"kernel.panic": own.trim()}));
                c.create_refused()
            },
        ),
        attack("sysctl-of-the-hosts-network", "GHSA-w2j5-3rcx-vx7x")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                let own = std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl")?;
                c.set("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": own.trim()}));
                c.create_refused()
            }),
        attack("hostname-of-the-host", "GHSA-w2j5-3rcx-vx7x")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                let own = nix::unistd::gethostname()?.to_string_lossy().into_owned();
                c.leave_namespace("uts");
                c.set("/hostname", own);
                c.create_refused()
            }),
        attack("namespace-path-too-long", "CVE-2021-43784")
            .needs(Need::Root)
            .breaks(Break::Repair)
            .runs(|c| {
                let path = format!("/{}", "x".repeat(70_000));
                c.namespace("ipc", Some(&path));
                c.create_refused()
            }),
    ]
}

fn privileges() -> Vec<Case> {
    vec![
        attack("no-inheritable-capabilities", "CVE-2022-29162, CVE-2022-24769, CVE-2022-27650")
            .breaks(sets("/process/capabilities/inheritable", json!(["CAP_KILL"])))
            .runs(|c| equal("CapInh", &c.observe()?.caps("CapInh"), &Some(0))),
        attack("user-without-capabilities", "CVE-2025-27612, CVE-2022-29162")
            .needs(Need::Root)
            .breaks(drops("/process/user/uid"))
            .runs(|c| {
                c.set("/process/user/uid", 1234);
                let seen = c.observe()?;
                equal("CapEff", &seen.caps("CapEff"), &Some(0))?;
                equal("CapPrm", &seen.caps("CapPrm"), &Some(0))
            }),
        attack("devices-are-denied-first", "GHSA-g54h-m393-cpwq")
            .needs(Need::Root)
            .breaks(sets("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}])))
            .runs(|c| {
                c.set("/linux/resources/devices", json!([]));
                for set in ["bounding", "effective", "permitted"] {
                    c.set(&format!("/process/capabilities/{set}/-"), "CAP_MKNOD");
                }
                c.request(&["mknod:/tmp/device=240,77", "open:/tmp/device"]);
                let seen = c.observe()?;
                let made = seen.tried("mknod:/tmp/device=240,77").errno;
                let opened = seen.tried("open:/tmp/device").errno;
                c.saw(format!("mknod {made}, open {opened}"));
                // The errno of an absent driver would mean that access was granted.
                ensure(opened == "EPERM" || opened == "ENOENT", || format!("open: {opened}"))
            }),
        attack("cgroup-mount-in-user-namespace", "CVE-2023-25809")
            .needs(Need::Root)
            .breaks(sets("/mounts/4/options", json!(["rw"])))
            .runs(|c| {
                std::fs::create_dir_all(c.rootfs().join("sys/fs/cgroup"))?;
                c.user_namespace(100_000, 65_536);
                c.namespace("cgroup", None);
                c.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
                c.request(&[
                    "list:/sys/fs/cgroup",
                    "mkdir:/sys/fs/cgroup/pids/new",
                    "mkdir:/sys/fs/cgroup/new",
                ]);
                let seen = c.observe()?;
                let made = |request: &str| seen.tried(request).worked();
                let writable =
                    |mount: &&Mount| mount.fstype.starts_with("cgroup") && !mount.has("ro");
                let found = seen.mounts.iter().find(writable);
                ensure(found.is_none(), || format!("{found:?}"))?;
                ensure(!made("mkdir:/sys/fs/cgroup/pids/new"), || "a cgroup can be made".into())?;
                ensure(!made("mkdir:/sys/fs/cgroup/new"), || "it can be written".into())
            }),
        attack("remount-is-refused", "container escapes by remounting read-only paths")
            .breaks(drops("/linux/readonlyPaths"))
            .runs(|c| {
                c.set("/linux/readonlyPaths", json!(["/etc"]));
                c.request(&["remount:/etc", "umount:/etc", "create:/etc/new"]);
                let seen = c.observe()?;
                ensure(!seen.tried("create:/etc/new").worked(), || "it can be written".into())
            }),
    ]
}

fn exec() -> Vec<Case> {
    let user = |name: &str, user: &'static str| {
        attack(name, "CVE-2024-40635, CVE-2026-46680")
            .needs(Need::Root)
            .breaks(pretends("exec"))
            .runs(move |c| {
                c.stay(&[]);
                let container = c.start()?;
                let output = container.exec(&["--user", user], &["/probe", "exit", "0"])?;
                c.saw(output.summary());
                ensure(!output.ok(), || format!("--user {user} is taken"))
            })
    };
    vec![
        user("exec-user-minus-one", "4294967295"),
        user("exec-user-beyond-32-bits", "4294967296"),
        user("exec-user-negative", "-1"),
        user("exec-group-minus-one", "0:4294967295"),
        attack("exec-has-the-filter", "exec without the container's seccomp filter")
            .needs(Need::X86)
            .breaks(drops("/linux/seccomp"))
            .runs(|c| {
                let rule = json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"});
                c.set(
                    "/linux/seccomp",
                    json!({
                        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule],
                    }),
                );
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&[], &["call:140,0,0"])?;
                equal("getpriority", seen.tried("call:140,0,0").errno.as_str(), "EPERM")?;
                equal("NoNewPrivs", seen.field("NoNewPrivs"), "1")
            }),
        attack("exec-as-user-without-capabilities", "CVE-2022-29162, CVE-2025-27612")
            .needs(Need::Root)
            .breaks(Break::Word("1234".into(), "0".into()))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                let seen = container.exec_seen(&["--user", "1234"], &[])?;
                equal("CapEff", &seen.caps("CapEff"), &Some(0))?;
                equal("CapInh", &seen.caps("CapInh"), &Some(0))
            }),
        attack("exec-keeps-groups", "CVE-2022-36109, CVE-2023-25173")
            .needs(Need::Root)
            .breaks(sets("/process/user/additionalGids", json!([77])))
            .runs(|c| {
                c.set("/process/user/additionalGids", json!([7]));
                c.stay(&[]);
                let container = c.start()?;
                let groups = container.exec_seen(&[], &[])?.groups;
                let others: Vec<u32> = groups.into_iter().filter(|gid| *gid != 0).collect();
                equal("groups", &others, &[7])
            }),
    ]
}

fn host() -> Vec<Case> {
    vec![
        attack("runtime-is-not-writable-from-inside", "CVE-2019-5736")
            .needs(Need::Root)
            .breaks(Break::Refuse("start".into()))
            .runs(overwritten),
        attack("device-on-stdin-keeps-its-owner", "runc #3674")
            .needs(Need::Root)
            .breaks(drops("/process/user/uid"))
            .runs(|c| {
                let owner = std::fs::metadata("/dev/null")?.uid();
                c.set("/process/user/uid", 1234);
                equal("uids", &c.observe()?.uids, &[1234; 4])?;
                equal("owner of /dev/null", &std::fs::metadata("/dev/null")?.uid(), &owner)
            }),
    ]
}

/// A process in the container's pid namespace tries to open the waiting runtime for writing.
fn overwritten(c: &mut Context) -> Verdict {
    let created = c.create()?;
    let path = format!("/proc/{}/ns/pid", created.pid()?);
    c.namespace("pid", Some(&path));
    let second = format!("{}/second", c.cgroup);
    c.set("/linux/cgroupsPath", second);
    c.request(&["openrw:/proc/1/exe", "stat:/proc/1/exe"]);
    let seen = c.observe()?;
    let tried = seen.tried("openrw:/proc/1/exe");
    c.saw(format!("opening the runtime for writing: {}", tried.errno));
    match tried.errno.as_str() {
        "" => fail("it can be written"),
        // Only its running keeps it from being written: once it ends, it can be.
        "ETXTBSY" => fail("only its running protects it (ETXTBSY)"),
        _ => Ok(()),
    }
}

/// Files of the image that a runtime reads: they must neither hang it nor fill its memory.
fn image_files() -> Vec<Case> {
    let reads = |name: &str, make: fn(&std::path::Path) -> Verdict| {
        attack(name, "CVE-2024-9676, CVE-2026-47262").needs(Need::Root).breaks(Break::Hang).runs(
            move |c| {
                for file in ["passwd", "group"] {
                    make(&c.rootfs().join("etc").join(file))?;
                }
                let (container, output) = c.try_create()?;
                ensure(output.exit.is_some(), || format!("create {}", output.summary()))?;
                if !output.ok() {
                    return Ok(());
                }
                let started = container.call("start", &[])?;
                ensure(started.exit.is_some(), || format!("start {}", started.summary()))
            },
        )
    };
    vec![
        reads("passwd-is-a-fifo", |path| {
            Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o644))?)
        }),
        reads("passwd-is-a-device", |path| {
            Ok(crate::sys::device(&path.display().to_string(), libc::S_IFCHR | 0o666, 1, 5)?)
        }),
        reads("passwd-is-huge", |path| Ok(std::fs::File::create(path)?.set_len(1 << 36)?)),
        reads("passwd-is-a-directory", |path| Ok(std::fs::create_dir(path)?)),
        reads("passwd-is-nonsense", |path| {
            Ok(std::fs::write(path, "::::\nroot:x\n\n:x:y:z\nroot:x:99999999999:0:::\n")?)
        }),
    ]
}
