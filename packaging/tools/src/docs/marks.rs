//! Every code block says what is done with it: nothing that a reader may type goes unrun unseen.

use super::page::{Block, Mark, Page};

/// Languages of what is no command and no file: diagrams, output, excerpts of the code.
const SHOWN: [&str; 2] = ["text", "rust"];

/// Adds the blocks of `page` that do not say it, or contradict themselves.
pub fn check(page: &Page, wrong: &mut Vec<String>) {
    for block in &page.blocks {
        if let Some(why) = fault(block) {
            wrong.push(format!("{}: {why}", page.at(block.line)));
        }
    }
}

fn fault(block: &Block) -> Option<&'static str> {
    let Some(language) = block.language.as_deref() else {
        return Some("an indented block has no language: fence it");
    };
    match (&block.mark, language) {
        (_, "") => Some("the block has no language"),
        (Some(Mark::Run(_)), "console")
        | (Some(Mark::Typed(_) | Mark::Until(_) | Mark::By(_)) | None, "sh")
        | (Some(Mark::Not(_)), _) => None,
        (_, "console") => Some("a session has a name (run: NAME), or a reason why it is not run"),
        (Some(Mark::Run(_)), _) => Some("only a session (console) has a name"),
        (Some(Mark::Typed(_) | Mark::Until(_) | Mark::By(_)), _) => {
            Some("only commands (sh) are run")
        }
        (Some(Mark::File(_)), _) => None,
        (None, _) if SHOWN.contains(&language) => None,
        (None, _) => Some("say which file it is (file: PATH), or why it is not used (not run: …)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> usize {
        let mut wrong = Vec::new();
        check(&Page::new(text, "p.md".into()), &mut wrong);
        wrong.len()
    }

    #[test]
    fn what_is_said() {
        for good in [
            "```sh\nx\n```\n",
            "```text\nx\n```\n",
            "<!-- not run: needs a cluster -->\n```yaml\nx\n```\n",
            "<!-- file: /x -->\n```toml\nx\n```\n",
            "<!-- run: x -->\n```console\n$ x\n```\n",
            "<!-- typed: exit -->\n```sh\nx\n```\n",
        ] {
            assert_eq!(faults(good), 0, "{good}");
        }
        for bad in [
            "    x\n",
            "```\nx\n```\n",
            "```console\n$ x\n```\n",
            "```toml\nx\n```\n",
            "<!-- run: x -->\n```sh\nx\n```\n",
            "<!-- typed: exit -->\n```toml\nx\n```\n",
        ] {
            assert_eq!(faults(bad), 1, "{bad}");
        }
    }
}
