//! docs/security.md lists every file with unsafe code, and each such place says why it is sound.

use super::sources;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How far above a block its comment may begin: contracts have up to a handful of lines.
const ABOVE: usize = 10;

/// Lines of the file that hold an unsafe block, function or implementation.
fn places(text: &str) -> Vec<usize> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let holds = |line: &str| {
        line.match_indices("unsafe").any(|(at, word)| {
            let alone =
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"');
            let rest = line[at + word.len()..].trim_start();
            alone && ["{", "fn ", "impl"].iter().any(|start| rest.starts_with(start))
        })
    };
    let lines = text.lines().enumerate().filter(|(_, line)| holds(&code(line)));
    lines.map(|(at, _)| at).collect()
}

/// The lines of `places` that nothing explains.
fn unexplained(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let explained = |at: usize| {
        let near = &lines[at.saturating_sub(ABOVE)..=at];
        near.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
    };
    places(text).into_iter().filter(|at| !explained(*at)).map(|at| at + 1).collect()
}

#[test]
fn a_block_without_its_reason_is_found() {
    // In two halves, so that this file itself holds none.
    let block = concat!("uns", "afe { g() }");
    let bare = format!("fn f() {{\n    {block}\n}}\n");
    assert_eq!(places(&bare), [1]);
    assert_eq!(unexplained(&bare), [2]);
    assert!(unexplained(&format!("// SAFETY: g takes nothing.\n{block}\n")).is_empty());
    assert!(places(&format!("// {block}\n#![allow(unsafe_code)]\n")).is_empty());
}

#[test]
fn every_unsafe_place_is_listed_and_explained() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(top.join("docs/security.md")).unwrap();
    let (_, section) = page.split_once("\n## Unsafe code").unwrap();
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let listed: BTreeSet<String> = rows.map(|(path, _)| path.to_owned()).collect();
    let mut found = BTreeSet::new();
    for package in ["runtime", "shim", "deck", "conformance", "packaging"] {
        let mut all = Vec::new();
        sources(&top.join(package), &mut all);
        for (path, text) in all {
            if path.components().any(|part| part.as_os_str() == "target")
                || places(&text).is_empty()
            {
                continue;
            }
            let bare = unexplained(&text);
            assert!(bare.is_empty(), "{}: lines {bare:?} lack a SAFETY comment", path.display());
            found.insert(path.strip_prefix(top).unwrap().display().to_string());
        }
    }
    let news: Vec<_> = found.difference(&listed).collect();
    assert!(news.is_empty(), "docs/security.md does not list {news:?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "docs/security.md lists {gone:?}, which have no unsafe code");
}
