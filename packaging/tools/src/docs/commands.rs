//! The commands of the pages as scripts, for `packaging/docs-commands.sh` to run.
//!
//! A page is one script: its blocks follow each other in one shell, which ends at the first command
//! that fails. Sessions whose output is compared are not in it (`console.rs` runs them).

use super::page::{Block, Mark, Page};
use std::fmt::Write as _;
use std::path::Path;

/// Ends the text of a file; no page has such a line.
const END: &str = "END_OF_THE_PAGES_FILE";

/// What every script begins with. `until_true` waits a minute.
const HEAD: &str = "\
set -eE -o pipefail
trap 'echo \"$at: failed\" >&2' ERR
until_true() {
    for _ in $(seq 600); do bash -c \"$1\" >/dev/null 2>&1 && return; sleep 0.1; done
    return 1
}
PS4='+ '
";

/// Writes a script for each page that has commands into `directory`, named like the page with
/// dashes for slashes, and prints what is not run, and why.
///
/// # Errors
/// A page that can't be read, a script that can't be written.
pub fn write(root: &Path, directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let (mut run, mut not) = (0, 0);
    for page in super::pages(root)? {
        for block in &page.blocks {
            if let Some(Mark::Not(reason)) = &block.mark {
                println!("not run: {}: {reason}", page.at(block.line));
                not += 1;
            }
        }
        let (script, blocks) = script(&page);
        if blocks > 0 {
            let name = page.path.with_extension("sh").display().to_string().replace('/', "-");
            let path = directory.join(name);
            std::fs::write(&path, script)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            run += blocks;
        }
    }
    println!("{run} blocks to run, {not} not run");
    Ok(())
}

/// The script of a page, and how many blocks of commands are in it.
fn script(page: &Page) -> (String, usize) {
    let mut out = HEAD.to_owned();
    let mut blocks = 0;
    for block in &page.blocks {
        let Some(text) = of(block) else { continue };
        blocks += usize::from(!matches!(block.mark, Some(Mark::File(_))));
        let at = page.at(block.line);
        // Writing to a String can't fail.
        let _ = writeln!(out, "at={at}\necho \"== $at\"\n{text}");
    }
    (out, blocks)
}

fn of(block: &Block) -> Option<String> {
    let code = block.code.join("\n");
    let is_sh = block.language.as_deref() == Some("sh");
    Some(match &block.mark {
        Some(Mark::File(path)) => {
            format!("install -D -m 0644 /dev/stdin {path} <<'{END}'\n{code}\n{END}")
        }
        Some(Mark::Typed(line)) => format!(
            // Typed again and again: who reads the terminal may throw away what came too early.
            // To an end, for script(1) waits for that of its input.
            "export ended=$PWD/on-terminal.ended\n\
             cat >on-terminal <<'{END}'\ntrap 'echo $? >\"$ended\"' EXIT\n\
             set -ex -o pipefail\n{code}\n{END}\n\
             script --quiet --command 'bash on-terminal' /dev/null \
             < <(until [ -e \"$ended\" ]; do echo {}; sleep 0.5; done)\n\
             status=$(cat \"$ended\")\nrm on-terminal \"$ended\"\n[ \"$status\" = 0 ]",
            quoted(line)
        ),
        Some(Mark::Until(check)) => {
            let lines = block.code.iter().filter(|line| !line.is_empty());
            let served = lines.map(|line| {
                format!(
                    "set -x\n{line} &\n{{ served=$!; set +x; }} 2>/dev/null\n\
                     until_true {check}\nkill $served\nwait $served || true",
                    check = quoted(check)
                )
            });
            served.collect::<Vec<_>>().join("\n")
        }
        None if is_sh => format!("set -x\n{code}\n{{ set +x; }} 2>/dev/null"),
        _ => return None,
    })
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The script of a page, run.
    fn run(text: &str) -> (bool, String) {
        let (script, _) = script(&Page::new(text, "p.md".into()));
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["-c", &script]).current_dir("/tmp").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        (output.status.success(), format!("{}{errors}", String::from_utf8_lossy(&output.stdout)))
    }

    #[test]
    fn blocks_go_on_in_one_shell() {
        let (done, out) = run("```sh\nx=1\n```\ny\n```sh\necho $((x + 1))\n```\n");
        assert!(done && out.contains("\n2\n"), "{out}");
    }

    #[test]
    fn the_first_failure_ends_it_and_says_where() {
        let (done, out) = run("```sh\nfalse\necho on\n```\n");
        assert!(!done && out.contains("p.md:2: failed") && !out.contains("\non\n"), "{out}");
        let (done, out) = run("```sh\nfalse | true\n```\n");
        assert!(!done, "{out}");
    }

    #[test]
    fn files_are_written_as_they_are() {
        let path = std::env::temp_dir().join(format!("hull-commands-{}", std::process::id()));
        let text = format!(
            "<!-- file: {0} -->\n```toml\n a = '$x'\n```\n\n```sh\ncat {0}\n```\n",
            path.display()
        );
        let (done, out) = run(&text);
        assert!(done && out.contains("\n a = '$x'\n"), "{out}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_reads_a_terminal_has_one_and_ends() {
        let text = "<!-- typed: it -->\n```sh\ncd / && test -t 0 && read x && echo got $x\n```\n";
        let (done, out) = run(text);
        assert!(done && out.contains("got it"), "{out}");
        let (done, out) = run("<!-- typed: it -->\n```sh\nread x\nfalse\n```\n");
        assert!(!done, "{out}");
    }

    #[test]
    fn servers_are_awaited_and_ended() {
        let path = std::env::temp_dir().join(format!("hull-until-{}", std::process::id()));
        let text = format!(
            "<!-- until: test -e {0} -->\n```sh\nsh -c 'touch {0}; exec sleep 1000'\n```\n",
            path.display()
        );
        let (done, out) = run(&text);
        assert!(done, "{out}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn only_what_is_to_be_run_counts() {
        let text = "```text\nx\n```\n<!-- not run: y -->\n```sh\nz\n```\n```sh\nq\n```\n";
        let (script, blocks) = script(&Page::new(text, "p.md".into()));
        assert_eq!(blocks, 1);
        assert!(script.contains("\nq\n") && !script.contains("\nz\n"));
    }
}
