//! The container's terminal, as containerd, Docker and Podman ask for it.

use serde_json::json;

use super::compat::{compat, option};
use crate::case::{Case, Stop, Verdict, ensure, equal};
use crate::console::{self, Console};
use crate::container::worked;
use crate::context::Context;
use crate::mutant::{drops, sets};
use crate::observation::Observation;

/// The terminal's part of the compatibility chapter.
pub fn cases() -> Vec<Case> {
    let of_create = |name: &str, broken, look: fn(&Observation) -> Verdict| {
        compat(name, "create --console-socket PATH").breaks(broken).runs(move |c| {
            let seen = in_terminal(c)?;
            c.saw(format!("{} {:?}", seen.tty, seen.terminal));
            look(&seen)
        })
    };
    vec![
        of_create("terminal", option("--console-socket"), |seen| {
            ensure(seen.tty.starts_with("/dev/pts/"), || format!("the terminal is {:?}", seen.tty))
        }),
        of_create("terminal-size", drops("/process/consoleSize"), |seen| {
            equal("columns and rows", &seen.terminal, &Some((97, 31)))
        }),
        of_create("terminal-is-the-controlling-one", sets("/process/terminal", false), |seen| {
            let opened = seen.tried("open:/dev/tty").errno;
            equal("opening /dev/tty", opened.as_str(), "")?;
            equal("session and process", &seen.sid, &seen.pid)
        }),
        of_create("terminal-is-the-console", sets("/process/terminal", false), |seen| {
            let console = seen.tried("stat:/dev/console").value;
            let device = console["device"].as_str().unwrap_or_default();
            // Devices of pseudo terminals have the majors 136 to 143 (devices.txt).
            let number = device.split(':').next().and_then(|major| major.parse().ok());
            ensure(number.is_some_and(|major: u32| (136..144).contains(&major)), || {
                format!("/dev/console is {console}")
            })
        }),
        compat("exec-terminal", "exec --tty --detach --console-socket PATH")
            .breaks(option("--console-socket"))
            .runs(|c| {
                c.stay(&[]);
                let container = c.start()?;
                container.seen()?;
                let console = Console::new(c)?;
                let mut options = vec!["--tty", "--detach"];
                options.extend(console.options());
                worked("exec", &container.exec(&options, &["/probe", "report"])?)?;
                let seen = console::report(console.master()?)?;
                c.saw(format!("{} {:?}", seen.tty, seen.terminal));
                ensure(seen.tty.starts_with("/dev/pts/"), || format!("terminal {:?}", seen.tty))
            }),
    ]
}

/// What a probe sees whose terminal's master came over a console socket.
fn in_terminal(c: &mut Context) -> Result<Observation, Stop> {
    let console = Console::new(c)?;
    c.set("/process/terminal", true);
    c.set("/process/consoleSize", json!({"height": 31, "width": 97}));
    c.request(&["open:/dev/tty", "stat:/dev/console"]);
    c.write()?;
    let container = c.handle();
    worked("create", &container.try_create(&console.options())?)?;
    let master = console.master()?;
    // Reading while it writes: a terminal holds only some kibibytes.
    let reader = std::thread::spawn(move || console::report(master));
    container.start()?;
    reader.join().map_err(|_| Stop::Suite("the terminal's thread died".into()))?
}
