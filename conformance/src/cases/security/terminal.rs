//! The terminal: the master goes to the caller, and nothing of the image stands in its way.

use std::os::unix::fs::symlink;

use super::{attack, outside, untouched};
use crate::case::{Case, Verdict};
use crate::console;
use crate::context::Context;
use crate::mutant::Break;
use crate::needs::Need;

const ADVISORY: &str = "CVE-2025-52565";

/// The cases.
pub fn cases() -> Vec<Case> {
    vec![
        attack("console-is-a-link", ADVISORY).needs(Need::Root).breaks(Break::Touch).runs(|c| {
            let target = outside(c)?.join("secret");
            bare_dev(c);
            symlink(target, c.rootfs().join("dev/console"))?;
            with_terminal(c)
        }),
        attack("console-is-a-link-to-nothing-yet", ADVISORY)
            .needs(Need::Root)
            .breaks(Break::Touch)
            .runs(|c| {
                let target = outside(c)?.join("made");
                bare_dev(c);
                symlink(target, c.rootfs().join("dev/console"))?;
                with_terminal(c)
            }),
        attack("pts-is-a-link", ADVISORY).needs(Need::Root).breaks(Break::Touch).runs(|c| {
            let target = outside(c)?;
            bare_dev(c);
            symlink(target, c.rootfs().join("dev/pts"))?;
            with_terminal(c)
        }),
    ]
}

/// /dev is the image's: nothing is mounted over it or below.
fn bare_dev(c: &mut Context) {
    for _ in 0..3 {
        c.remove("/mounts/1");
    }
}

fn with_terminal(c: &mut Context) -> Verdict {
    let console = console::Console::new(c)?;
    c.set("/process/terminal", true);
    c.write()?;
    let container = c.handle();
    let output = container.try_create(&console.options())?;
    c.saw(output.summary());
    if output.ok() {
        let output = container.call("start", &[])?;
        c.saw(output.summary());
    }
    let outside = c.driver.dir.join("outside");
    untouched(&outside)?;
    drop(container);
    untouched(&outside)
}
