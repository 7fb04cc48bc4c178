//! What pages say of the repository has to be so: links, names, and what commands print.

mod by;
pub mod commands;
mod console;
mod excerpts;
mod figures;
pub mod files;
mod links;
mod marks;
mod messages;
mod names;
mod page;
mod reference;

use page::Page;
use std::path::{Path, PathBuf};

/// Pages outside of `docs/`.
const TOP: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];

/// Checks every page below `root`. With `hull`, that binary's help is compared and the marked
/// commands are run, for which root is needed.
///
/// # Errors
/// All that is wrong, a line each.
pub fn check(root: &Path, hull: Option<&Path>) -> Result<(), String> {
    let pages = pages(root)?;
    let mut wrong = Vec::new();
    let names = names::Names::new(root)?;
    for page in &pages {
        links::check(page, &pages, root, &mut wrong);
        names.check(page, &mut wrong);
        marks::check(page, &mut wrong);
        by::check(page, root, &mut wrong)?;
    }
    names.check_help(&mut wrong);
    messages::check(&pages, root, &mut wrong)?;
    excerpts::check(&pages, root, &mut wrong)?;
    figures::check(&pages, &mut wrong);
    files::check(root, &mut wrong)?;
    if let Some(hull) = hull {
        let hull = hull.canonicalize().map_err(|error| format!("{}: {error}", hull.display()))?;
        reference::check(&pages, &hull, &mut wrong)?;
        console::check(&pages, &hull, &mut wrong)?;
    }
    if wrong.is_empty() {
        println!("{} pages are right", pages.len());
        return Ok(());
    }
    Err(wrong.join("\n"))
}

fn pages(root: &Path) -> Result<Vec<Page>, String> {
    let mut paths: Vec<PathBuf> = TOP.iter().map(PathBuf::from).collect();
    find(root, Path::new("docs"), "md", &mut paths)?;
    paths.sort();
    paths.into_iter().map(|path| Ok(Page::new(&crate::read(&root.join(&path))?, path))).collect()
}

/// Adds the files with an extension at any depth of `below`, by their paths in `root`.
fn find(root: &Path, below: &Path, extension: &str, out: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", below.display());
    for entry in std::fs::read_dir(root.join(below)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = below.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            find(root, &path, extension, out)?;
        } else if path.extension().is_some_and(|it| it == extension) {
            out.push(path);
        }
    }
    Ok(())
}

/// The text of every file below `dir` with the extension `rs`, one after the other.
fn sources(dir: &Path) -> Result<String, String> {
    let mut out = String::new();
    let failed = |error| format!("{}: {error}", dir.display());
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            out.push_str(&sources(&path)?);
        } else if path.extension().is_some_and(|it| it == "rs") {
            out.push_str(&crate::read(&path)?);
        }
    }
    Ok(out)
}
