//! Words for people: `Up 3 minutes`, names for containers without one, ids.

use super::record::{Container, Status};
use super::time::{self, SECOND};
use crate::error::{At, Result};
use std::io::Read;

/// Halves of the names given to containers.
const LEFT: &[&str] = &[
    "able", "bold", "brave", "bright", "calm", "clever", "cool", "daring", "eager", "early",
    "fair", "fast", "fine", "firm", "fond", "free", "fresh", "gentle", "glad", "good", "grand",
    "happy", "hardy", "honest", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky",
    "merry", "mild", "neat", "nimble", "noble", "patient", "plain", "proud", "quick", "quiet",
    "ready", "robust", "sharp", "silent", "sober", "solid", "steady", "strong", "sunny", "swift",
    "tidy", "trusty", "vivid", "warm", "wise", "witty", "young", "zealous", "zesty",
];
/// Parts of a ship and of a harbour.
const RIGHT: &[&str] = &[
    "anchor", "beacon", "berth", "bilge", "boom", "bow", "brig", "bridge", "bulwark", "buoy",
    "cabin", "cable", "capstan", "cargo", "clipper", "compass", "crane", "crew", "current",
    "cutter", "davit", "deck", "dinghy", "dock", "fender", "ferry", "fleet", "forestay", "galley",
    "gangway", "halyard", "harbor", "hatch", "hawser", "helm", "hold", "jetty", "jib", "keel",
    "ketch", "lagoon", "lantern", "mast", "mooring", "oar", "pier", "pilot", "porthole", "quay",
    "rigging", "rudder", "sail", "schooner", "sextant", "sloop", "spar", "stern", "tide", "tiller",
    "topsail", "trawler", "tug", "wharf", "yawl",
];

/// Random bytes of the kernel.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .at(|| "read /dev/urandom")?;
    Ok(bytes)
}

/// A new id: 64 hexadecimal digits, the first twelve not all digits (they become a host name).
///
/// # Errors
/// /dev/urandom can't be read.
pub fn new_id() -> Result<String> {
    use std::fmt::Write;
    loop {
        let mut id = String::with_capacity(64);
        for byte in random::<32>()? {
            // Writing to a string can't fail.
            let _ = write!(id, "{byte:02x}");
        }
        if !id.as_bytes()[..12].iter().all(u8::is_ascii_digit) {
            return Ok(id);
        }
    }
}

/// A name for a container that was given none.
///
/// # Errors
/// /dev/urandom can't be read.
pub fn new_name(attempt: u32) -> Result<String> {
    let [left, right, digit] = random::<3>()?;
    let left = LEFT[usize::from(left) % LEFT.len()];
    let right = RIGHT[usize::from(right) % RIGHT.len()];
    Ok(match attempt {
        0 => format!("{left}_{right}"),
        _ => format!("{left}_{right}{}", digit % 100),
    })
}

/// A span of time as Docker tells it: `Less than a second`, `3 minutes`, `About an hour`.
pub fn duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds.max(0) / SECOND;
    let minutes = seconds / 60;
    // Hours are rounded, as go-units does.
    let hours = (nanoseconds.max(0) + 1_800 * SECOND) / (3_600 * SECOND);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// What `ps` says about a container: `Up 3 minutes (healthy)`, `Exited (1) 2 hours ago`.
pub fn status(container: &Container, now: i64) -> String {
    let state = &container.state;
    let up = duration(now - state.started);
    let down = duration(now - state.finished);
    match state.status {
        Status::Paused => format!("Up {up} (Paused)"),
        Status::Running => match &container.health {
            Some(health) if health.status == "starting" => format!("Up {up} (health: starting)"),
            Some(health) => format!("Up {up} ({})", health.status),
            None => format!("Up {up}"),
        },
        Status::Restarting => format!("Restarting ({}) {down} ago", state.exit_code),
        Status::Removing => "Removal In Progress".into(),
        Status::Dead => "Dead".into(),
        Status::Created => "Created".into(),
        Status::Exited => format!("Exited ({}) {down} ago", state.exit_code),
    }
}

/// A command as one line, quoted where it holds blanks.
pub fn command(words: &[String]) -> String {
    let quoted = words.iter().enumerate().map(|(at, word)| {
        if at > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Seconds since the epoch.
pub fn seconds(nanoseconds: i64) -> i64 {
    nanoseconds / time::SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_as_dockers() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (180, "3 minutes"),
            (3_600, "About an hour"),
            (7_200, "2 hours"),
            (3 * 86_400, "3 days"),
            (20 * 86_400, "2 weeks"),
            (800 * 86_400, "2 years"),
        ] {
            assert_eq!(duration(seconds * SECOND), words);
        }
    }

    #[test]
    fn states_are_told_as_dockers() {
        let mut container = Container::default();
        assert_eq!(status(&container, 0), "Created");
        container.state.status = Status::Exited;
        container.state.exit_code = 3;
        assert_eq!(status(&container, 7 * SECOND), "Exited (3) 7 seconds ago");
    }

    #[test]
    fn ids_and_names_can_be_used() {
        let id = new_id().unwrap();
        assert_eq!(id.len(), 64);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(new_name(0).unwrap().contains('_'));
        assert_eq!(command(&["sh".into(), "-c".into(), "a b".into()]), "sh -c 'a b'");
    }
}
