//! Paths in the image that lead out of the root.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{attack, outside, untouched};
use crate::case::{Case, Stop, Verdict};
use crate::context::Context;
use crate::mutant::Break;
use crate::needs::Need;

/// Containers made during the race.
const ROUNDS: usize = 25;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = links();
    all.push(exchanged());
    all
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

/// A directory and a link out of the root change places all the time while containers are made.
fn exchanged() -> Case {
    attack("links-exchanged-while-mounts-are-made", "CVE-2021-30465, CVE-2024-45310")
        .needs(Need::Root)
        .breaks(Break::Touch)
        .runs(|c| {
            let outside = outside(c)?;
            let (directory, link) = (c.rootfs().join("place"), c.rootfs().join("link"));
            std::fs::create_dir(&directory)?;
            symlink(&outside, &link)?;
            for depth in ["a", "b", "c"] {
                c.mount(&format!("/place/{depth}"), "tmpfs", "tmpfs", &[]);
            }
            let stop = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&stop);
            let racer = std::thread::spawn(move || {
                while !told.load(Ordering::Relaxed) {
                    // Either order of the two is one of the states of the race.
                    let _ = crate::sys::exchange(&directory, &link);
                }
            });
            let raced = (0..ROUNDS).try_for_each(|_| {
                let (container, _) = c.try_create()?;
                untouched(&outside)?;
                drop(container);
                untouched(&outside)
            });
            stop.store(true, Ordering::Relaxed);
            racer.join().map_err(|_| Stop::Suite("the racing thread died".into()))?;
            raced
        })
}
