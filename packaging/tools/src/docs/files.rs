//! The page that tells what each file of the runtime is for, in the order a config.json meets them.
//! It is made of the first sentence of each file, and has to be as it would be made now.

use std::fmt::Write as _;
use std::path::Path;

const PAGE: &str = "docs/files.md";
const SOURCE: &str = "runtime/src";

const HEAD: &str = "\
# hull, file by file

In the order in which a `config.json` meets them; [architecture](architecture.md) tells the same as a
story. Paths are below `runtime/src`; unit tests are beside what they test. Made by `make docs-files`
from the first sentence of each file, and `make docs-check` wants it to be complete.
";

/// Chapters, with how the paths of their files begin. The longest beginning counts.
const WAY: [(&str, &[&str]); 7] = [
    ("From the command line to a request", &["main.rs", "lib.rs", "cli/", "error.rs", "log.rs"]),
    ("From config.json to checked types", &["spec/"]),
    ("From types to a plan", &["host.rs", "plan/", "features.rs"]),
    (
        "From the plan to a container, from outside",
        &["seal.rs", "launch.rs", "cgroup/", "systemd/", "intel_rdt", "spawn/", "netdev.rs"],
    ),
    ("From the plan to a container, from inside", &["init/", "seccomp/", "hooks.rs"]),
    (
        "What can be done with a container",
        &[
            "container/",
            "exec.rs",
            "foreground",
            "console.rs",
            "pid_file.rs",
            "notify_socket.rs",
            "checkpoint/",
        ],
    ),
    ("The kernel's interfaces", &["sys/"]),
];

/// Adds what is wrong with the page.
///
/// # Errors
/// A file that can't be read, or can't be told of.
pub fn check(root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    if crate::read(&root.join(PAGE))? != page(root)? {
        wrong.push(format!(
            "{PAGE}: files have come, gone, or are for something else: `make docs-files`"
        ));
    }
    Ok(())
}

/// Writes the page.
///
/// # Errors
/// As `check`, and a page that can't be written.
pub fn write(root: &Path) -> Result<(), String> {
    std::fs::write(root.join(PAGE), page(root)?).map_err(|error| format!("{PAGE}: {error}"))
}

fn page(root: &Path) -> Result<String, String> {
    let source = root.join(SOURCE);
    let mut paths = Vec::new();
    super::find(&source, Path::new(""), "rs", &mut paths)?;
    let mut names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.retain(|name| !is_test(name));
    names.sort();
    let mut out = HEAD.to_owned();
    let mut told = 0;
    for (chapter, beginnings) in WAY {
        // Writing to a String can't fail.
        let _ = writeln!(out, "\n## {chapter}\n\n| file | is for |\n|---|---|");
        for beginning in beginnings {
            for name in names.iter().filter(|name| name.starts_with(beginning)) {
                let text = crate::read(&source.join(name))?;
                let sentence = sentence(&text)
                    .ok_or_else(|| format!("{SOURCE}/{name}: begins with no sentence (//! …)"))?;
                let _ = writeln!(out, "| `{name}` | {sentence} |");
                told += 1;
            }
        }
    }
    let untold = |name: &&String| {
        !WAY.iter().flat_map(|(_, all)| all.iter()).any(|beginning| name.starts_with(beginning))
    };
    match names.iter().find(untold) {
        Some(name) => Err(format!("{SOURCE}/{name}: in no chapter of {PAGE} (files.rs, WAY)")),
        None if told != names.len() => {
            Err(format!("{PAGE}: a file is in two chapters (files.rs, WAY)"))
        }
        None => Ok(out),
    }
}

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("tests/")
}

/// The first sentence of a file's own documentation, without its end and as a cell of a table.
fn sentence(text: &str) -> Option<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let first = paragraph.split_once(". ").map_or(paragraph.as_str(), |(first, _)| first);
    let first =
        first.trim_end_matches('.').replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    (!first.is_empty()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sentences() {
        let of = |text| sentence(text).unwrap();
        assert_eq!(of("//! Reads\n//! it. And more.\n\nuse x;"), "Reads it");
        assert_eq!(of("//! Reads a file.\n//!\n//! More."), "Reads a file");
        assert_eq!(of("//! As [`crate::X`] | says"), "As `crate::X` \\| says");
        assert_eq!(sentence("use x;\n//! late"), None);
    }

    #[test]
    fn files_without_a_sentence_or_a_chapter_are_found() {
        let root = std::env::temp_dir().join(format!("hull-files-{}", std::process::id()));
        let source = root.join(SOURCE);
        std::fs::create_dir_all(source.join("plan/x")).unwrap();
        std::fs::write(source.join("plan/x/y.rs"), "//! Why.\n").unwrap();
        std::fs::write(source.join("plan/x/y_tests.rs"), "").unwrap();
        assert!(page(&root).unwrap().contains("\n| `plan/x/y.rs` | Why |\n"));
        std::fs::write(source.join("new.rs"), "//! New.\n").unwrap();
        assert!(page(&root).unwrap_err().contains("in no chapter"));
        std::fs::remove_file(source.join("new.rs")).unwrap();
        std::fs::write(source.join("plan/z.rs"), "use x;\n").unwrap();
        assert!(page(&root).unwrap_err().contains("no sentence"));
        std::fs::remove_dir_all(root).unwrap();
    }
}
