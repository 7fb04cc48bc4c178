//! Files and processes of the host, and files of the image that a runtime reads.

use std::os::unix::fs::{MetadataExt, symlink};

use serde_json::Value;

use super::{attack, outside, untouched};
use crate::case::{Case, Stop, Verdict, ensure, equal, fail};
use crate::context::Context;
use crate::mutant::{Break, drops};
use crate::needs::Need;
use crate::runtime::read;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = host();
    all.extend(planted());
    all.extend(image_files());
    all
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

/// Files of the host that another user has put in the runtime's way.
fn planted() -> Vec<Case> {
    vec![
        attack("pid-file-is-a-link", "CVE-2021-41103 class: planted files")
            .breaks(Break::Touch)
            .runs(|c| {
                let outside = outside(c)?;
                let file = c.driver.dir.join("planted.pid");
                symlink(outside.join("secret"), &file)?;
                c.write()?;
                let container = c.handle();
                let (bundle, file) = (c.bundle(), file.display().to_string());
                let bundle = bundle.display().to_string();
                let words = ["create", "--bundle", &bundle, "--pid-file", &file, &container.id];
                let output = c.driver.call(&words)?;
                c.saw(output.summary());
                untouched(&outside)
            }),
        attack("state-directory-is-a-link", "CVE-2021-41103, CVE-2024-25621")
            .breaks(Break::Touch)
            .runs(|c| {
                let outside = outside(c)?;
                c.write()?;
                let container = c.handle();
                symlink(&outside, c.driver.root().join(&container.id))?;
                let output = container.try_create(&[])?;
                c.saw(output.summary());
                untouched(&outside)?;
                let output = container.call("delete", &["--force"])?;
                c.saw(format!("delete --force: {}", output.summary()));
                untouched(&outside)
            }),
        attack("state-names-another-process", "pid reuse").breaks(Break::Touch).runs(|c| {
            outside(c)?;
            let other = bystander(c)?;
            c.stay(&[]);
            let container = c.start()?;
            container.seen()?;
            let pid = container.pid()?;
            container.kill("KILL")?;
            container.wait()?;
            // The number now belongs to another process, as after a reuse.
            let files = renumber(&c.driver.root().join(&container.id), pid, other)?;
            c.saw(format!("{pid} became {other} in {files} files"));
            for words in [["kill", &container.id, "KILL"], ["delete", "--force", &container.id]] {
                let output = c.driver.call(&words)?;
                c.saw(format!("{}: {}", words[0], output.summary()));
                ensure(std::path::Path::new(&format!("/proc/{other}/fd/0")).exists(), || {
                    format!("{} ended a process that is not the container's", words[0])
                })?;
            }
            untouched(&c.driver.dir.join("outside"))
        }),
        attack("annotations-choose-no-path", "CVE-2025-24965 class").breaks(Break::Touch).runs(
            |c| {
                let outside = outside(c)?;
                let made = outside.join("made").display().to_string();
                for (name, value) in [
                    ("run.oci.hooks.stdout", made.as_str()),
                    ("run.oci.hooks.stderr", made.as_str()),
                    ("org.criu.config", made.as_str()),
                    ("run.oci.handler", "wasm"),
                    ("org.opencontainers.image.stopSignal", "no signal"),
                ] {
                    c.set(&format!("/annotations/{}", name.replace('/', "~1")), value);
                }
                c.hook("createRuntime", "one", 0);
                let (container, output) = c.try_create()?;
                c.saw(output.summary());
                if output.ok() {
                    let output = container.call("start", &[])?;
                    c.saw(output.summary());
                }
                untouched(&outside)
            },
        ),
        attack("no-library-of-the-image", "CVE-2019-14271")
            .needs(Need::Root)
            .breaks(Break::Refuse("create".into()))
            .runs(|c| {
                let container = c.create()?;
                let maps = read(format!("/proc/{}/maps", container.pid()?).as_ref());
                ensure(!maps.is_empty(), || "the waiting process can't be seen".into())?;
                let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
                let own = c.rootfs().display().to_string();
                let loaded: Vec<&str> =
                    files.filter(|file| file.starts_with(&own) || *file == "/probe").collect();
                ensure(loaded.is_empty(), || format!("mapped before start: {loaded:?}"))
            }),
    ]
}

/// A process that is no container's.
fn bystander(c: &Context) -> Result<i32, Stop> {
    let mut command = std::process::Command::new(c.driver.work.join("probe"));
    command.arg("stay").stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let child = command.spawn()?;
    // The time of a process' start is told in ticks of 10 ms (proc_pid_stat(5)), and within one tick
    // no number comes round again: the container's process has to be some ticks younger.
    std::thread::sleep(std::time::Duration::from_millis(50));
    Ok(i32::try_from(child.id()).unwrap_or(-1))
}

/// Writes another number in place of `old` into the JSON files of a directory; how many had it.
fn renumber(directory: &std::path::Path, old: i32, new: i32) -> std::io::Result<usize> {
    let mut changed = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(mut document) = serde_json::from_str::<Value>(&text) else { continue };
        if exchange(&mut document, old, new) {
            std::fs::write(&path, document.to_string())?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// Every number `old` becomes `new`.
fn exchange(value: &mut Value, old: i32, new: i32) -> bool {
    match value {
        Value::Number(number) if number.as_i64() == Some(old.into()) => {
            *value = new.into();
            true
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |done, each| exchange(each, old, new) | done)
        }
        Value::Object(map) => {
            map.values_mut().fold(false, |done, each| exchange(each, old, new) | done)
        }
        _ => false,
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
