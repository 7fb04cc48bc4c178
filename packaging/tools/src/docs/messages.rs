//! The errors of the troubleshooting page are errors of the programs.

use super::page::Page;
use std::path::Path;

const PAGE: &str = "docs/troubleshooting.md";

/// Texts of the kernel's errors, and of programs that hull runs.
const OTHERS: [&str; 2] = ["no such file or directory", "exec format error"];

/// Shorter pieces of a message say nothing.
const SHORTEST: usize = 8;

/// Adds the messages in headings that neither program's source holds.
///
/// # Errors
/// Source that can't be read.
pub fn check(pages: &[Page], root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let Some(page) = pages.iter().find(|page| page.path == Path::new(PAGE)) else {
        return Ok(());
    };
    let mut source = String::new();
    for folder in ["runtime/src", "deck/src"] {
        source.push_str(&joined(&super::sources(&root.join(folder))?));
    }
    for (line, text) in page.prose.iter().filter(|(_, line)| line.starts_with("### ")) {
        for message in text.split('`').skip(1).step_by(2) {
            for piece in pieces(message) {
                if !source.contains(piece) && !OTHERS.contains(&piece) {
                    wrong.push(format!("{}: no error says {piece:?}", page.at(*line)));
                }
            }
        }
    }
    Ok(())
}

/// String literals over several lines made one.
fn joined(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.trim_start());
    }
    out
}

/// What is left of a message without placeholders, which are words in capitals.
fn pieces(message: &str) -> impl Iterator<Item = &str> {
    let is_placeholder = |word: &str| {
        let name: String = word
            .trim_start_matches(['(', '/', '"'])
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        name == "N"
            || (name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase()) && name != "JSON")
    };
    let mut from = 0;
    let mut found = Vec::new();
    let mut at = 0;
    for word in message.split_inclusive(' ') {
        if word.contains("N]") || is_placeholder(word) {
            found.push(&message[from..at]);
            from = at + word.len();
        }
        at += word.len();
    }
    found.push(&message[from..]);
    found
        .into_iter()
        .map(|it| it.trim_matches([' ', ':', ';', ',']))
        .filter(|it| it.len() >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_left_out() {
        let of = |text| pieces(text).collect::<Vec<_>>();
        assert_eq!(
            of("container's cgroup is not empty: N process(es) found"),
            ["container's cgroup is not empty", "process(es) found"]
        );
        assert_eq!(
            of("clone3(NAMES) (see /proc/sys/user)"),
            ["clone3(NAMES) (see /proc/sys/user)"]
        );
        assert_eq!(of("chdir to cwd (PATH) set in config"), ["chdir to cwd", "set in config"]);
        assert_eq!(of("JSON specification"), ["JSON specification"]);
    }

    #[test]
    fn literals_of_several_lines() {
        assert_eq!(joined("\"a \\\n      b\""), "\"a b\"");
    }
}
