//! Commands that a page leaves to something else are run by it: `<!-- run by: FILE, FILE -->`.

use super::page::{Mark, Page};
use std::path::Path;

/// Adds the commands that are in none of the files.
///
/// # Errors
/// A file that can't be read.
pub fn check(page: &Page, root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    for block in &page.blocks {
        let Some(Mark::By(files)) = &block.mark else { continue };
        let files: Vec<String> = files
            .split(", ")
            .map(|file| crate::read(&root.join(file)))
            .collect::<Result<_, _>>()?;
        for (line, number) in block.code.iter().zip(block.line..) {
            let command = line.split(" #").next().unwrap_or_default().trim();
            if !command.is_empty() && !files.iter().any(|text| runs(text, command)) {
                wrong.push(format!("{}: no file named there runs {command:?}", page.at(number)));
            }
        }
    }
    Ok(())
}

/// Whether a script has the command at the end of a line or before an operator, or a makefile the
/// target among what another needs.
fn runs(text: &str, command: &str) -> bool {
    let target = command.strip_prefix("make ");
    // Comments tell of commands without running them.
    let lines = text.replace("\\\n", " ");
    lines.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        let script = line.split_once(command).is_some_and(|(before, after)| {
            let ends = |c: &char| !(c.is_alphanumeric() || "-_/.".contains(*c));
            let begins = before.chars().next_back().is_none_or(|c| ends(&c));
            begins && after.chars().next().is_none_or(|c| ends(&c))
        });
        let needed = line.split_once(": ").is_some_and(|(name, needs)| {
            // `.PHONY: x` needs nothing.
            let needs = needs.split(" ##").next().unwrap_or_default();
            !name.starts_with('.')
                && !name.contains(' ')
                && target.is_some_and(|it| needs.split_whitespace().any(|word| word == it))
        });
        script || needed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_makefiles() {
        assert!(runs("set -e\nmake test\n", "make test"));
        assert!(runs("(cd x && sum --check FILE) || exit\n", "sum --check FILE"));
        assert!(runs("test: a \\\n\tb c ## Run\n", "make b"));
        assert!(!runs("# make test\n", "make test"));
        assert!(!runs("make test-all\n", "make test"));
        assert!(!runs("test: a ## Run b\n", "make b"));
        assert!(!runs(".PHONY: b\n", "make b"));
    }

    #[test]
    fn what_nothing_runs_is_found() {
        let root = std::env::temp_dir().join(format!("hull-by-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("run"), "make a\n").unwrap();
        let text = "<!-- run by: run -->\n```sh\nmake a  # says why\nmake b\n```\n";
        let mut wrong = Vec::new();
        check(&Page::new(text, "p.md".into()), &root, &mut wrong).unwrap();
        assert_eq!(wrong, ["p.md:4: no file named there runs \"make b\""]);
        std::fs::remove_dir_all(root).unwrap();
    }
}
