//! The README's figures are those of the pages that hold what was measured.

use super::page::Page;
use std::path::Path;

const README: &str = "README.md";
const BENCH: &str = "docs/bench/results.md";
const SUITE: &str = "docs/conformance-matrix.md";

/// Rows of the README's table of costs, by the text of their first cell, with the rows of the results
/// they take their figures from: measure and load.
const COSTS: [(&str, &[(&str, &str)]); 10] = [
    ("processor time of `run`, what `spec` writes", &[("run cpu, ms", "default, back to back")]),
    ("the same, a bundle as Docker makes it", &[("run cpu, ms", "docker, back to back")]),
    ("the same, a container of a Kubernetes pod", &[("run cpu, ms", "kubernetes, back to back")]),
    ("processor time of `exec`", &[("exec cpu, ms", "default")]),
    (
        "processor time of `state`, `kill`",
        &[("state cpu, ms", "default"), ("kill cpu, ms", "default")],
    ),
    ("system calls of `run`", &[("run system calls", "default")]),
    ("peak memory of `run`", &[("run peak memory, KiB", "default")]),
    ("smallest memory limit a container starts in", &[("smallest memory limit, KiB", "default")]),
    ("`run`s per second, eight at once", &[("runs per second, /s", "default, 8 at once")]),
    ("processor time of `list`, 1000 containers", &[("list cpu, ms", "default, 1000 alive")]),
];

/// Columns of the results, in the order of the README's.
const PEERS: [&str; 4] = ["hull", "crun", "crun-head", "runc"];

/// Rows of the README's table of the suite, with the chapters that are added up; none for all of them.
const CHAPTERS: [(&str, &[&str]); 6] = [
    ("all chapters, passed", &[]),
    ("all chapters, failed", &[]),
    ("mounts and their options", &["mounts", "mount-options"]),
    ("hooks", &["hooks"]),
    ("seccomp", &["seccomp"]),
    ("an ordinary user's containers", &["rootless"]),
];
const RUNTIMES: [&str; 4] = ["hull", "runc", "crun", "youki"];

/// A cell that needs no figure.
const NONE: &str = "not built in";

/// Adds the rows that say something else, or that no results hold.
pub fn check(pages: &[Page], wrong: &mut Vec<String>) {
    let page = |path| pages.iter().find(|page| page.path == Path::new(path));
    let (Some(readme), Some(bench), Some(suite)) = (page(README), page(BENCH), page(SUITE)) else {
        return;
    };
    for (label, rows) in COSTS {
        compare(readme, label, &costs(bench, rows), BENCH, wrong);
    }
    for (label, chapters) in CHAPTERS {
        let right = if chapters.is_empty() {
            totals(suite, if label.ends_with("failed") { " failed" } else { " passed" })
        } else {
            passed(suite, chapters)
        };
        compare(readme, label, &right, SUITE, wrong);
    }
}

/// Compares the row called `label` with the figures each of its cells is to hold.
fn compare(
    readme: &Page,
    label: &str,
    right: &[Vec<String>],
    source: &str,
    wrong: &mut Vec<String>,
) {
    let found = readme.prose.iter().find_map(|(line, text)| {
        let cells = cells(text)?;
        (plain(cells.first()?) == label).then_some((*line, cells))
    });
    let Some((line, cells)) = found else {
        wrong.push(format!("{README}: no row {label:?}: its figures are in {source}"));
        return;
    };
    let said: Vec<Vec<String>> = cells[1..].iter().map(|cell| figures(cell)).collect();
    let same = said.len() == right.len()
        && said
            .iter()
            .zip(right)
            .zip(&cells[1..])
            .all(|((said, right), cell)| *cell == NONE || (said == right && !right.is_empty()));
    if !same {
        let right: Vec<String> = right.iter().map(|cell| cell.join(", ")).collect();
        wrong.push(format!("{}: {label}: {source} says {}", readme.at(line), right.join(" | ")));
    }
}

/// The figures of hull and the ratios to its peers.
fn costs(bench: &Page, rows: &[(&str, &str)]) -> Vec<Vec<String>> {
    let table: Vec<Vec<&str>> = bench.prose.iter().filter_map(|(_, line)| cells(line)).collect();
    let head = table.iter().find(|cells| cells.contains(&"hull"));
    let value = |row: &(&str, &str), peer: &str| {
        let cells = table.iter().find(|cells| cells.starts_with(&[row.0, row.1]))?;
        let column = head?.iter().position(|it| *it == peer)?;
        // A ratio is right of the peer's own figure; hull itself has none.
        let column = if peer == "hull" { column } else { column + 1 };
        figures(cells.get(column)?).into_iter().next()
    };
    PEERS.iter().map(|peer| rows.iter().filter_map(|row| value(row, peer)).collect()).collect()
}

/// What stands before `word` in each runtime's line.
fn totals(suite: &Page, word: &str) -> Vec<Vec<String>> {
    let of = |runtime: &&str| {
        let begin = format!("- **{runtime}**");
        let line = suite.prose.iter().find(|(_, line)| line.starts_with(&begin));
        let before = line.and_then(|(_, line)| line.split_once(word)).map_or("", |(it, _)| it);
        figures(before).into_iter().next_back().into_iter().collect()
    };
    RUNTIMES.iter().map(of).collect()
}

/// Passed and applicable cases of some chapters, added up.
fn passed(suite: &Page, chapters: &[&str]) -> Vec<Vec<String>> {
    let table: Vec<Vec<&str>> = suite.prose.iter().filter_map(|(_, line)| cells(line)).collect();
    let Some(head) = table.iter().find(|cells| cells.first() == Some(&"chapter")) else {
        return Vec::new();
    };
    let of = |runtime: &&str| {
        let column = head.iter().position(|it| it == runtime)?;
        let mut sums = [0_u32; 2];
        for chapter in chapters {
            let row = table.iter().find(|cells| cells.first() == Some(chapter))?;
            let (passed, of) = row.get(column)?.split_once('/')?;
            sums[0] += passed.parse::<u32>().ok()?;
            sums[1] += of.parse::<u32>().ok()?;
        }
        Some(sums.map(|sum| sum.to_string()).to_vec())
    };
    RUNTIMES.iter().map(|runtime| of(runtime).unwrap_or_default()).collect()
}

/// The cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// A text without its links: `[a](b), c` is `a, c`.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        out.push_str(before);
        let Some((name, after)) = link.split_once("](") else { break };
        out.push_str(name);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// The numbers in a text.
fn figures(text: &str) -> Vec<String> {
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let parts =
        text.split(|c| !number(c)).filter(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    parts.map(|part| part.trim_end_matches('.').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Page {
        Page::new(text, path.into())
    }

    #[test]
    fn figures_and_labels() {
        assert_eq!(figures("0.29, 0.30 ms"), ["0.29", "0.30"]);
        assert_eq!(figures("81 of 81."), ["81", "81"]);
        assert_eq!(plain("[all](x.md#y), passed"), "all, passed");
        assert_eq!(plain("`run` x"), "`run` x");
    }

    #[test]
    fn another_figure_is_found() {
        let bench = page(
            BENCH,
            "| | | hull | runc | *ratio* | crun | *ratio* | crun-head | *ratio* |\n\
             |---|---|--:|--:|--:|--:|--:|--:|--:|\n\
             | exec cpu, ms | default | 0.93 [0.85–1.09] | 9 [8–9] | *0.05* | 4 | *0.20* | 5 | *0.18* |\n",
        );
        let right = costs(&bench, &[("exec cpu, ms", "default")]);
        assert_eq!(right, [["0.93"], ["0.20"], ["0.18"], ["0.05"]]);
        let faults = |row: &str| {
            let mut wrong = Vec::new();
            compare(&page(README, row), "exec", &right, BENCH, &mut wrong);
            wrong
        };
        assert!(faults("| [exec](x.md) | 0.93 ms | 0.20 | 0.18 | 0.05 |\n").is_empty());
        assert_eq!(faults("| exec | 0.93 ms | 0.20 | 0.18 | 0.06 |\n").len(), 1);
        assert_eq!(faults("| exec | 0.93 ms | 0.20 | 0.18 |\n").len(), 1);
        assert_eq!(faults("| execs | 0.93 ms | 0.20 | 0.18 | 0.05 |\n").len(), 1);
    }

    #[test]
    fn chapters_are_added_up() {
        let suite = page(
            SUITE,
            "- **hull**: x 1.3.0: 533 passed, 0 failed\n- **runc**: x: 417 passed, 36 failed\n\n\
             | chapter | hull | runc |\n|---|---|---|\n| a | 1/2 | 3/3 |\n| b | 4/4 | 0/1 |\n",
        );
        assert_eq!(totals(&suite, " failed")[..2], [["0"], ["36"]]);
        assert_eq!(passed(&suite, &["a", "b"])[..2], [["5", "6"], ["3", "4"]]);
        assert!(passed(&suite, &["c"])[0].is_empty());
    }
}
