//! Marked terminal sessions are run, and print what the page shows.
//!
//! A block after `<!-- run: NAME -->` is one; blocks of a page with the same NAME go on in the same
//! shell. It starts in an empty directory, which pages call `/root`, with `hull` on its PATH and a
//! state directory of its own. Numbers and blanks may differ from the page's, a line `…` stands for
//! any lines, and `…` within a line for any text.

use super::page::{Mark, Page};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long a session may take, in seconds.
const LIMIT: &str = "120";

/// Stands before each command's output.
const MARK: char = '\u{1}';

/// A command with what the page shows of its output.
struct Step {
    at: String,
    command: String,
    shown: Vec<String>,
}

/// Runs the sessions of all pages.
///
/// # Errors
/// A session that can't be run at all.
pub fn check(pages: &[Page], hull: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    for page in pages {
        for (name, steps) in sessions(page) {
            if !root {
                println!("{}: session {name} is not run without root", page.path.display());
                continue;
            }
            let place = Place::new(hull)?;
            let printed = place.run(&steps)?;
            for (step, output) in steps.iter().zip(printed) {
                if !matches(&step.shown, &output) {
                    let (shown, output) = (step.shown.join("\n"), output.join("\n"));
                    wrong.push(format!(
                        "{}: $ {}\n--- the page says\n{shown}\n--- it printed\n{output}\n---",
                        step.at, step.command
                    ));
                }
            }
        }
    }
    Ok(())
}

fn sessions(page: &Page) -> BTreeMap<&str, Vec<Step>> {
    let mut out: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
    for block in &page.blocks {
        let Some(Mark::Run(name)) = &block.mark else { continue };
        let name = name.as_str();
        let steps = out.entry(name).or_default();
        for (line, number) in block.code.iter().zip(block.line..) {
            if let Some(command) = line.strip_prefix("$ ") {
                let (at, command) = (page.at(number), command.to_owned());
                steps.push(Step { at, command, shown: Vec::new() });
            } else if let Some(step) = steps.last_mut() {
                step.shown.push(line.clone());
            }
        }
    }
    out
}

/// A directory for a session; goes with its containers.
struct Place {
    directory: PathBuf,
    hull: PathBuf,
}

impl Place {
    fn new(hull: &Path) -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("hull-docs-{}", std::process::id()));
        let failed = |error| format!("{}: {error}", directory.display());
        std::fs::create_dir_all(directory.join("home")).map_err(failed)?;
        let wrapper = directory.join("hull");
        let (real, state) = (hull.display(), directory.join("state"));
        let text = format!("#!/bin/sh\nexec '{real}' --root '{}' \"$@\"\n", state.display());
        std::fs::write(&wrapper, text).map_err(failed)?;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&wrapper, mode).map_err(failed)?;
        Ok(Self { hull: wrapper, directory })
    }

    /// Runs the steps in one shell; the lines each has printed.
    fn run(&self, steps: &[Step]) -> Result<Vec<Vec<String>>, String> {
        let mut script = "exec 2>&1 </dev/null\n".to_owned();
        for step in steps {
            // Writing to a String can't fail.
            let _ = writeln!(script, "printf '\\n\\001\\n'\n{}", step.command);
        }
        let home = self.directory.join("home");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("timeout")
            .args([LIMIT, "bash", "-c", &script])
            .env("PATH", format!("{}:{path}", self.directory.display()))
            .env("HOME", &home)
            .current_dir(&home)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("bash: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let text = text.replace(&home.display().to_string(), "/root");
        let lines = |part: &str| {
            let part = part.strip_prefix('\n').unwrap_or(part);
            part.trim_end().lines().map(str::to_owned).collect()
        };
        Ok(text.split(MARK).skip(1).map(lines).collect())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Best effort: a container of a session that failed half-way.
        let ids = Command::new(&self.hull).args(["list", "--quiet"]).output();
        let ids =
            ids.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
        for id in ids.lines() {
            let _ = Command::new(&self.hull).args(["delete", "--force", id]).status();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Whether the output is what the page shows.
fn matches(shown: &[String], printed: &[String]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "…" => {
            (0..=printed.len()).any(|from| matches(rest, &printed[from..]))
        }
        (Some((first, shown)), Some((line, printed))) => {
            same(&plain(first), &plain(line)) && matches(shown, printed)
        }
        _ => false,
    }
}

/// One number is as good as another, and so are blanks.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    for c in words.chars() {
        match c {
            '0'..='9' if out.ends_with('0') => {}
            '0'..='9' => out.push('0'),
            other => out.push(other),
        }
    }
    out
}

/// Equal, but for what `…` stands for.
fn same(shown: &str, printed: &str) -> bool {
    match shown.split_once('…') {
        None => shown == printed,
        Some((head, tail)) => printed.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| same(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_may_differ_in_numbers_and_blanks() {
        let of = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(matches(&of("a  12\nb"), &of("a 7\nb")));
        assert!(matches(&of("a\n…\nz"), &of("a\nb\nc\nz")));
        assert!(matches(&of("id … running"), &of("id 7 x running")));
        assert!(!matches(&of("a"), &of("a\nb")));
        assert!(!matches(&of("a\nb"), &of("a")));
        assert!(!matches(&of("stopped"), &of("running")));
    }

    #[test]
    fn blocks_of_one_name_are_one_session() {
        let text =
            "<!-- run: x -->\n```console\n$ a\nout\n```\n\n<!-- run: x -->\n```console\n$ b\n```\n";
        let page = Page::new(text, "p.md".into());
        let sessions = sessions(&page);
        let steps = &sessions["x"];
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[0].shown, ["out"]);
        assert_eq!(steps[1].at, "p.md:9");
    }
}
