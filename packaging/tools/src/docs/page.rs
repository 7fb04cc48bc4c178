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
    /// NAME of a comment `<!-- run: NAME -->` right before it.
    pub run: Option<String>,
    /// The code.
    pub code: Vec<String>,
}

impl Page {
    /// Reads a page.
    pub fn new(text: &str, path: PathBuf) -> Self {
        let mut page = Self { path, prose: Vec::new(), blocks: Vec::new() };
        let mut run = None;
        let mut lines = text.lines().zip(1..).peekable();
        let mut after_blank = true;
        while let Some((line, number)) = lines.next() {
            if line.trim_start().starts_with("```") {
                let code = lines
                    .by_ref()
                    .map(|(line, _)| line)
                    .take_while(|line| !line.trim_start().starts_with("```"))
                    .map(str::to_owned)
                    .collect();
                page.blocks.push(Block { line: number + 1, run: run.take(), code });
            } else if after_blank && line.starts_with("    ") {
                let mut code = vec![line.trim_start().to_owned()];
                while let Some((line, _)) = lines.next_if(|(line, _)| line.starts_with("    ")) {
                    code.push(line.trim_start().to_owned());
                }
                page.blocks.push(Block { line: number, run: None, code });
            } else {
                let marker = line.strip_prefix("<!-- run: ").and_then(|it| it.strip_suffix(" -->"));
                run = marker.map(str::to_owned);
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
        assert_eq!(page.blocks[0].run.as_deref(), Some("x"));
        assert_eq!(page.blocks[0].code, ["$ true"]);
        assert_eq!(page.blocks[1].code, ["make it"]);
        let spans: Vec<_> = page.spans().collect();
        assert_eq!(spans, [(1, "b"), (9, "one"), (9, "two")]);
    }
}
