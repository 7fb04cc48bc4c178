//! `create` killed half way.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use crate::case::{Case, Verdict, case, ensure};
use crate::context::Context;
use crate::mutant::skips;
use crate::process;

/// Killed after some milliseconds: one `delete --force` must clear away what it had made.
pub fn cases() -> Vec<Case> {
    [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]
        .map(|delay: u64| {
            case(format!("robustness/create-killed-after-{delay}-ms"))
                .cites("runtime.md:143 MUST delete the resources that were created during the")
                .breaks(skips("delete"))
                .runs(move |c| killed_after(c, Duration::from_millis(delay)))
        })
        .into()
}

fn killed_after(c: &mut Context, delay: Duration) -> Verdict {
    c.write()?;
    let container = c.handle();
    let mut command = c.driver.command();
    command.arg("--root").arg(c.driver.root());
    command.args(["create", "--bundle"]).arg(c.bundle()).arg(&container.id);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.process_group(0);
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).unwrap_or(-1);
    std::thread::sleep(delay);
    process::kill_group(pid);
    let exit = process::wait(pid, Duration::from_secs(20));
    c.saw(format!("create ended with {exit:?}"));
    let state = container.call("state", &[])?;
    let output = container.call("delete", &["--force"])?;
    c.saw(format!("state {}, delete {}", state.summary(), output.summary()));
    // Killed before it began, there is nothing to delete.
    let begun = c.driver.root().join(&container.id).exists() || state.ok();
    ensure(output.ok() || !begun, || format!("delete {}", output.summary()))?;
    // The orphaned init ends when the pipe or the socket to its parent does.
    process::settles(<[i32]>::is_empty);
    c.nothing_left(&container)?;
    // And the id is free: a container of its own lives and goes again.
    crate::container::worked("create", &container.try_create(&[])?)?;
    crate::container::worked("delete", &container.call("delete", &["--force"])?)?;
    c.nothing_left(&container)
}
