//! Damaged files in the state directory, as after a full disk or a crash of the machine: an error,
//! no crash, no wrong process ended.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::one_line;
use crate::case::{Case, Stop, Verdict, case, ensure, fail};
use crate::container::Container;
use crate::context::Context;
use crate::mutant::pretends;
use crate::process;

type Damage = fn(&Path) -> std::io::Result<()>;

/// The cases: each damage before `state`, `kill` and `delete --force`.
pub fn cases() -> Vec<Case> {
    let damages: [(&str, Damage); 11] = [
        ("empty", |file| fs::write(file, "")),
        ("cut", |file| {
            let text = fs::read(file)?;
            fs::write(file, &text[..text.len() / 2])
        }),
        ("null", |file| fs::write(file, "null")),
        ("empty-object", |file| fs::write(file, "{}")),
        ("number", |file| fs::write(file, "7")),
        ("nul-bytes", |file| fs::write(file, [0; 512])),
        ("no-utf8", |file| fs::write(file, [0xff, 0xfe, b'{', b'}'])),
        ("deeply-nested", |file| fs::write(file, "[".repeat(100_000))),
        ("directory", |file| {
            fs::remove_file(file)?;
            fs::create_dir(file)
        }),
        ("dangling-link", |file| {
            fs::remove_file(file)?;
            symlink("nowhere", file)
        }),
        ("fifo", |file| {
            fs::remove_file(file)?;
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            Ok(nix::unistd::mkfifo(file, mode)?)
        }),
    ];
    let mut all = Vec::new();
    for (name, damage) in damages {
        for verb in ["state", "kill", "delete"] {
            all.push(damaged(name, damage, verb));
        }
    }
    all.push(listed());
    all
}

fn damaged(name: &str, damage: Damage, verb: &'static str) -> Case {
    case(format!("robustness/state-file-{name}-{verb}"))
        .cites("runtime.md:59 it MUST generate an error")
        .breaks(pretends(verb))
        .runs(move |c| {
            let container = damaged_container(c, damage)?;
            let words: &[&str] = match verb {
                "kill" => &["kill", &container.id, "KILL"],
                "delete" => &["delete", &container.id],
                _ => &["state", &container.id],
            };
            let output = c.driver.call(words)?;
            c.saw(output.summary());
            ensure(!output.ok(), || format!("{verb} takes it without an error"))?;
            c.told(&output);
            one_line(&output)?;
            let forced = container.call("delete", &["--force"])?;
            c.saw(format!("delete --force: {}", forced.summary()));
            if forced.ok() { gone(c, &container) } else { one_line(&forced) }
        })
}

/// Who says that it has deleted a container must have.
fn gone(c: &mut Context, container: &Container) -> Verdict {
    ensure(process::settles(<[i32]>::is_empty), || {
        format!("deleted, but {:?} live on", process::living_children())
    })?;
    c.nothing_left(container)
}

fn damaged_container(c: &mut Context, damage: Damage) -> Result<Container, Stop> {
    c.stay(&[]);
    let container = c.start()?;
    container.seen()?;
    let files = documents(&c.driver.root().join(&container.id))?;
    if files.is_empty() {
        return Err(Stop::Skip("the runtime keeps no JSON in its state directory".into()));
    }
    c.saw(format!("damaged: {}", names(&files)));
    for file in &files {
        damage(file)?;
    }
    Ok(container)
}

fn names(files: &[PathBuf]) -> String {
    let name = |file: &PathBuf| file.file_name().map(|name| name.display().to_string());
    files.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}

/// The files of a directory that hold JSON.
fn documents(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_file() && fs::read(&path)?.starts_with(b"{") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One damaged container does not hide the others.
fn listed() -> Case {
    case("robustness/list-beside-a-damaged-container")
        .cites("runc's command line: list")
        .breaks(crate::mutant::Break::Print("list".into(), String::new()))
        .runs(|c| {
            let damaged = damaged_container(c, |file| fs::write(file, "{"))?;
            let second = format!("{}/second", c.cgroup);
            if c.host.euid == 0 {
                c.set("/linux/cgroupsPath", second);
            }
            let sound = c.create()?;
            let output = c.driver.call(&["list", "--quiet"])?;
            c.saw(format!("{} {:?}", output.summary(), output.stdout));
            drop(damaged);
            if output.stdout.lines().any(|line| line == sound.id) {
                return Ok(());
            }
            fail("the sound container is not listed")
        })
}
