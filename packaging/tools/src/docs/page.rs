//! A page of Markdown, as far as the checks need it.

use std::path::PathBuf;

/// A page.
pub struct Page {
    /// Below the repository's root.
    pub path: PathBuf,
    /// Lines outside of code blocks, with their numbers.
    pub prose: Vec<(usize, String)>,
    /// Code blocks.
    pub blocks: Vec<Block>,
}

/// A code block, fenced or indented.
pub struct Block {
    /// Number of its first line of code.
    pub line: usize,
    /// The word after the fence; none for an indented block.
    pub language: Option<String>,
    /// What the comment right before it says.
    pub mark: Option<Mark>,
    /// The code, without the fence's own indentation.
    pub code: Vec<String>,
}

/// What is done with a block, from a comment `<!-- WORDS: TEXT -->` right before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// `run: NAME`: a session whose output is compared (`console.rs`).
    Run(String),
    /// `file: PATH`: the content of that file, for the commands after it.
    File(String),
    /// `typed: LINE`: run on a terminal, where that line is typed.
    Typed(String),
    /// `until: COMMAND`: each line serves until it is ended; it works when that command succeeds.
    Until(String),
    /// `run by: FILE, FILE`: those have the commands (`by.rs`).
    By(String),
    /// `not run: REASON`.
    Not(String),
}

impl Mark {
    fn new(line: &str) -> Option<Self> {
        let (word, text) =
            line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": ")?;
        let text = text.to_owned();
        Some(match word {
            "run" => Self::Run(text),
            "file" => Self::File(text),
            "typed" => Self::Typed(text),
            "until" => Self::Until(text),
            "run by" => Self::By(text),
            "not run" => Self::Not(text),
            _ => return None,
        })
    }
}

impl Page {
    /// Reads a page.
    pub fn new(text: &str, path: PathBuf) -> Self {
        let mut page = Self { path, prose: Vec::new(), blocks: Vec::new() };
        let mut mark = None;
        let mut lines = text.lines().zip(1..).peekable();
        let mut after_blank = true;
        while let Some((line, number)) = lines.next() {
            let bare = line.trim_start();
            if let Some(language) = bare.strip_prefix("```") {
                let indent = line.len() - bare.len();
                let code = lines
                    .by_ref()
                    .map(|(line, _)| line)
                    .take_while(|line| !line.trim_start().starts_with("```"))
                    .map(|line| line.get(indent..).unwrap_or_default().to_owned())
                    .collect();
                let language = Some(language.trim().to_owned());
                page.blocks.push(Block { line: number + 1, language, mark: mark.take(), code });
            } else if after_blank && line.starts_with("    ") {
                let mut code = vec![bare.to_owned()];
                while let Some((line, _)) = lines.next_if(|(line, _)| line.starts_with("    ")) {
                    code.push(line.trim_start().to_owned());
                }
                page.blocks.push(Block { line: number, language: None, mark: None, code });
            } else {
                mark = Mark::new(line);
                page.prose.push((number, line.to_owned()));
            }
            after_blank = line.is_empty();
        }
        page
    }

    /// `path:line` for a message.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// The texts between backticks, outside of code blocks.
    pub fn spans(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| {
            line.split('`').skip(1).step_by(2).map(move |span| (*number, span))
        })
    }

    /// The anchors that hosts of Markdown make of headings.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter_map(|(_, line)| line.strip_prefix('#'));
        headings.map(|text| anchor(text.trim_start_matches('#'))).collect()
    }
}

/// Lower case, blanks to dashes, everything else that is no letter, digit, dash or underscore gone.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    let dashed = |c| if c == ' ' { '-' } else { c };
    heading.trim().to_lowercase().chars().filter(kept).map(dashed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_spans_and_anchors() {
        let text =
            "# A `b`, c?\n<!-- run: x -->\n```console\n$ true\n```\n\n    make it\n\n`one` `two`\n";
        let page = Page::new(text, "p.md".into());
        assert_eq!(page.anchors(), ["a-b-c"]);
        assert_eq!(page.blocks.len(), 2);
        assert_eq!(page.blocks[0].mark, Some(Mark::Run("x".to_owned())));
        assert_eq!(page.blocks[0].language.as_deref(), Some("console"));
        assert_eq!(page.blocks[0].code, ["$ true"]);
        assert_eq!(page.blocks[1].language, None);
        assert_eq!(page.blocks[1].code, ["make it"]);
        let spans: Vec<_> = page.spans().collect();
        assert_eq!(spans, [(1, "b"), (9, "one"), (9, "two")]);
    }

    #[test]
    fn a_mark_is_of_the_block_right_after_it() {
        let text = "<!-- not run: a: b -->\n```sh\nx\n```\n<!-- file: /x -->\n\n```sh\n y\n```\n";
        let page = Page::new(text, "p.md".into());
        assert_eq!(page.blocks[0].mark, Some(Mark::Not("a: b".to_owned())));
        assert_eq!(page.blocks[1].mark, None);
        assert_eq!(page.blocks[1].code, [" y"]);
    }

    #[test]
    fn a_fence_in_a_list_gives_its_indentation_to_nothing() {
        let page = Page::new("1. x\n\n   ```rust\n   a\n     b\n   ```\n", "p.md".into());
        assert_eq!(page.blocks[0].code, ["a", "  b"]);
    }
}
