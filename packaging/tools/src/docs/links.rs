//! Relative links lead to files that are there, and their anchors to headings.

use super::page::Page;
use std::path::{Component, Path, PathBuf};

/// Adds the dead links of `page`.
pub fn check(page: &Page, pages: &[Page], root: &Path, wrong: &mut Vec<String>) {
    for (number, line) in &page.prose {
        for target in targets(line).chain(definition(line)) {
            if let Some(why) = dead(target, page, pages, root) {
                wrong.push(format!("{}: link {target}: {why}", page.at(*number)));
            }
        }
    }
}

/// What stands in `](…)`, code spans left out.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// The target of `[name]: target`.
fn definition(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.split_once("]: ").map(|(_, target)| target)
}

fn dead(target: &str, page: &Page, pages: &[Page], root: &Path) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        page.path.clone()
    } else {
        clean(&page.path.parent().unwrap_or(Path::new("")).join(path))
    };
    if !root.join(&path).exists() {
        return Some("no such file");
    }
    let there = |page: &Page| page.anchors().iter().any(|it| it == anchor);
    let known = pages.iter().find(|page| page.path == path);
    (!anchor.is_empty() && !known.is_some_and(there)).then_some("no such heading")
}

/// `docs/../README.md` is `README.md`.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_headings() {
        let page = |text: &str, path: &str| Page::new(text, path.into());
        let pages = [page("# Top\n## Two words\n", "docs/a.md"), page("x", "docs/adr/b.md")];
        let root = tempdir();
        for it in &pages {
            let path = root.join(&it.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let dead = |target| dead(target, &pages[1], &pages, &root);
        for good in ["../a.md", "../a.md#two-words", "https://x/", "b.md"] {
            assert_eq!(dead(good), None, "{good}");
        }
        assert_eq!(dead("a.md"), Some("no such file"));
        assert_eq!(dead("../a.md#three"), Some("no such heading"));
        assert_eq!(dead("#top"), Some("no such heading"));
        std::fs::remove_dir_all(root).unwrap();
    }

    fn tempdir() -> PathBuf {
        let path = std::env::temp_dir().join(format!("hull-links-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn links_of_a_line() {
        let line = "[a](b.md) and ![c](d.svg)";
        assert_eq!(targets(line).collect::<Vec<_>>(), ["b.md", "d.svg"]);
        assert_eq!(definition("[spec]: x.md"), Some("x.md"));
    }
}
