//! A plot of the ratios: one bar for each figure and runtime, on a scale where 1 is as much as the
//! first runtime takes.

use crate::report::Report;
use std::fmt::Write as _;

/// The figures that say most, in the order of the plot.
const SHOWN: [(&str, &str); 9] = [
    ("run cpu", "default, back to back"),
    ("run wall", "default, 100 ms apart"),
    ("run cpu", "docker, back to back"),
    ("run cpu", "kubernetes, back to back"),
    ("exec cpu", "default"),
    ("state cpu", "default"),
    ("delete --force wall", "default, running"),
    ("run peak memory", "default"),
    ("run system calls", "default"),
];

const COLOURS: [&str; 6] = ["#0b6e4f", "#c44536", "#3d5a80", "#e09f3e", "#6d597a", "#888888"];
const LEFT: f64 = 250.0;
const WIDTH: f64 = 560.0;
const BAR: f64 = 13.0;

/// Draws it.
pub fn draw(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 30.0;
    for (index, peer) in report.runtimes.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "a handful")]
        let x = LEFT + 110.0 * index as f64;
        let _ = writeln!(
            body,
            r#"<rect x="{x}" y="8" width="11" height="11" fill="{}"/><text x="{}" y="18">{}</text>"#,
            colour(index),
            x + 16.0,
            escape(&peer.name)
        );
    }
    for (what, case) in SHOWN {
        let Some(first) = report.of_first().find(|row| row.what == what && row.case == case) else {
            continue;
        };
        let ratios: Vec<(usize, f64)> = report
            .runtimes
            .iter()
            .enumerate()
            .filter_map(|(index, peer)| {
                let other = report.beside(first, &peer.name)?;
                Some((index, other.value.median / first.value.median))
            })
            .collect();
        let most = ratios.iter().map(|ratio| ratio.1).fold(1.0, f64::max);
        let _ = writeln!(
            body,
            r#"<text x="{}" y="{}" text-anchor="end">{} ({})</text>"#,
            LEFT - 10.0,
            y + BAR,
            escape(what),
            escape(case)
        );
        for (index, ratio) in ratios {
            let width = (ratio / most * WIDTH).max(1.0);
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT}" y="{y}" width="{width:.1}" height="{BAR}" fill="{}"/><text x="{:.1}" y="{}" class="n">{ratio:.2}</text>"#,
                colour(index),
                LEFT + width + 5.0,
                y + BAR - 2.0
            );
            y += BAR + 2.0;
        }
        y += 12.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"12\"><style>text{{fill:#333}}.n{{font-size:10px}}\
         </style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n",
        LEFT + WIDTH + 60.0
    )
}

fn colour(index: usize) -> &'static str {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or("#000")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
