//! Excerpts of the code are in the code, line by line.

use super::page::Page;
use std::path::Path;

/// Where the code is.
const FOLDERS: [&str; 4] = ["runtime/src", "shim/src", "deck/src", "conformance/src"];

/// Adds the lines that no source has.
///
/// # Errors
/// Source that can't be read.
pub fn check(pages: &[Page], root: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let mut source = String::new();
    for folder in FOLDERS {
        source.push_str(&super::sources(&root.join(folder))?);
    }
    for page in pages {
        compare(page, &source, wrong);
    }
    Ok(())
}

fn compare(page: &Page, source: &str, wrong: &mut Vec<String>) {
    for block in page.blocks.iter().filter(|block| block.language.as_deref() == Some("rust")) {
        for (code, line) in block.code.iter().zip(block.line..) {
            if !source.contains(code.trim()) {
                wrong.push(format!("{}: the code has no {:?}", page.at(line), code.trim()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_may_differ() {
        let mut wrong = Vec::new();
        let page = Page::new("```rust\nlet a = 1;\nlet b = 2;\n```\n", "p.md".into());
        compare(&page, "    let a = 1;\n", &mut wrong);
        assert_eq!(wrong, ["p.md:3: the code has no \"let b = 2;\""]);
    }
}
