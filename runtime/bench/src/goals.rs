//! What hull is to reach, and whether it does.

use crate::peer::Peer;
use crate::report::Report;
use std::fmt::Write as _;

/// How a figure is judged.
enum Limit {
    /// The ratio to crun's: its HEAD, where that is measured as well.
    OfCrun(f64),
    /// The ratio to the floor's.
    OfFloor(f64),
    /// At least this many times as much as crun.
    TimesCrun(f64),
    /// The figure itself.
    AtMost(f64),
    /// As much more than the figure of the same name in this case.
    More(f64, &'static str),
}

/// A figure with its limit, and the cases it has to hold in.
struct Goal(&'static str, &'static [&'static str], Limit);

const KINDS: &[&str] = &["default", "docker", "kubernetes"];

const GOALS: &[Goal] = &[
    Goal("run cpu", &["default, back to back"], Limit::OfCrun(0.45)),
    Goal("run cpu", &["docker, back to back"], Limit::OfCrun(0.35)),
    Goal("exec cpu", KINDS, Limit::OfCrun(0.2)),
    Goal("state cpu", KINDS, Limit::OfCrun(0.15)),
    Goal("start cpu", KINDS, Limit::OfCrun(0.15)),
    Goal("kill cpu", KINDS, Limit::OfCrun(0.15)),
    Goal("delete cpu", KINDS, Limit::OfCrun(0.15)),
    Goal("run wall", &["default, 100 ms apart"], Limit::OfCrun(0.25)),
    Goal("delete --force wall", &["default, running"], Limit::OfCrun(0.15)),
    Goal("run cpu", &["default, back to back"], Limit::OfFloor(1.5)),
    Goal("run peak memory", &["default"], Limit::AtMost(1024.0)),
    Goal("smallest memory limit", &["default"], Limit::AtMost(160.0)),
    Goal("run system calls", &["default"], Limit::AtMost(350.0)),
    Goal("runs per second", &["default, 8 at once"], Limit::TimesCrun(2.0)),
    Goal("run cpu", &["default, 4000 more host mounts"], Limit::More(1.0, "default, back to back")),
    Goal("list cpu", &["default, 1000 alive"], Limit::AtMost(5.0)),
];

/// A Markdown table of the goals, what was measured, and whether that is enough. What was not
/// measured, or not beside what it is compared with, is left out.
pub fn table(report: &Report) -> String {
    let mut text = String::from("| goal | measured | |\n|---|--:|---|\n");
    for Goal(what, cases, limit) in GOALS {
        for case in *cases {
            let Some((asked, value, reached)) = judge(report, what, case, limit) else { continue };
            let said = if reached { "reached" } else { "**not reached**" };
            let _ = writeln!(text, "| {what} ({case}) {asked} | {value} | {said} |");
        }
    }
    text
}

/// What is asked for, what was measured, and whether that is enough.
fn judge(report: &Report, what: &str, case: &str, limit: &Limit) -> Option<(String, String, bool)> {
    let row = report.of_first().find(|row| row.what == what && row.case == case)?;
    let mine = row.value.median;
    let beside = |peer: &Peer| Some(mine / report.beside(row, &peer.name)?.value.median);
    let crun = || report.runtimes.iter().rfind(|peer| peer.version.starts_with("crun "));
    let with_unit = |value: f64| format!("{value:.2} {}", row.unit).trim_end().to_owned();
    Some(match limit {
        Limit::OfCrun(most) => {
            let (ratio, name) = (beside(crun()?)?, &crun()?.name);
            (format!("≤ {most} × {name}"), format!("{ratio:.2} ×"), ratio <= *most)
        }
        Limit::TimesCrun(least) => {
            let (ratio, name) = (beside(crun()?)?, &crun()?.name);
            (format!("≥ {least} × {name}"), format!("{ratio:.2} ×"), ratio >= *least)
        }
        Limit::OfFloor(most) => {
            let ratio = beside(report.runtimes.iter().find(|peer| peer.floor)?)?;
            (format!("≤ {most} × the floor"), format!("{ratio:.2} ×"), ratio <= *most)
        }
        Limit::AtMost(most) => {
            (format!("≤ {most} {}", row.unit).trim_end().to_owned(), with_unit(mine), mine <= *most)
        }
        Limit::More(most, than) => {
            let other = report.of_first().find(|row| row.what == what && row.case == *than)?;
            let more = mine - other.value.median;
            (format!("≤ + {most} {}", row.unit), format!("+ {}", with_unit(more)), more <= *most)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::spread;
    use crate::scenario::Row;
    use std::path::PathBuf;

    fn report(rows: &[(&str, &str, &str, &'static str, f64)]) -> Report {
        let peer = |(name, version): (&str, &str)| Peer::named(name, version, PathBuf::new());
        let peers = [
            ("hull", "hull version 1"),
            ("crun", "crun version 1"),
            ("crun-head", "crun version 2"),
        ];
        let rows = rows.iter().map(|(what, case, runtime, unit, value)| Row {
            what: (*what).into(),
            case: (*case).into(),
            runtime: (*runtime).into(),
            unit,
            value: spread(vec![*value]),
        });
        Report::new(&peers.map(peer), 1, rows.collect())
    }

    #[test]
    fn each_goal_has_its_verdict() {
        let near = "default, back to back";
        let far = "default, 4000 more host mounts";
        let table = table(&report(&[
            ("run cpu", near, "hull", "ms", 3.0),
            ("run cpu", near, "crun", "ms", 3.0),
            ("run cpu", near, "crun-head", "ms", 10.0),
            ("run cpu", far, "hull", "ms", 3.5),
            ("run system calls", "default", "hull", "", 351.0),
            ("exec cpu", "docker", "hull", "ms", 1.0),
        ]));
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| run cpu (default, back to back) ≤ 0.45 × crun-head | 0.30 × | reached |",
                "| run system calls (default) ≤ 350 | 351.00 | **not reached** |",
                "| run cpu (default, 4000 more host mounts) ≤ + 1 ms | + 0.50 ms | reached |",
            ]
        );
    }
}
