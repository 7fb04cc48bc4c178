//! One page for a browser: the matrix, and under each case its sentences and evidence.

use std::fmt::Write;

use super::junit::escape;
use super::text::fraction;
use super::{Results, Tally};
use crate::case::Case;
use crate::spec;

const HEAD: &str = include_str!("../../data/report.html");

/// The report.
pub fn results(results: &Results) -> String {
    let mut page = String::from(HEAD);
    page.push_str("<h1>OCI runtime conformance</h1>\n<ul>\n");
    for (runtime, column) in results.runtimes.iter().zip(&results.columns) {
        let _ = writeln!(
            page,
            "<li><b>{}</b>: {}, specification {}: {}</li>",
            escape(&runtime.name),
            escape(&runtime.version),
            escape(&runtime.claimed),
            Tally::of(column).line()
        );
    }
    page.push_str("</ul>\n");
    chapters(&mut page, results);
    for chapter in results.chapters() {
        let _ = writeln!(page, "<h2 id=\"{chapter}\">{chapter}</h2>");
        for (at, case) in results.cases.iter().enumerate() {
            if case.chapter() == chapter {
                details(&mut page, results, at, case);
            }
        }
    }
    page.push_str("</body></html>\n");
    page
}

fn chapters(page: &mut String, results: &Results) {
    page.push_str("<table><tr><th>chapter</th>");
    for runtime in results.runtimes {
        let _ = write!(page, "<th>{}</th>", escape(&runtime.name));
    }
    page.push_str("</tr>\n");
    for chapter in results.chapters() {
        let _ = write!(page, "<tr><td><a href=\"#{chapter}\">{chapter}</a></td>");
        for at in 0..results.runtimes.len() {
            let _ = write!(page, "<td>{}</td>", fraction(results.chapter(at, chapter)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn details(page: &mut String, results: &Results, at: usize, case: &Case) {
    page.push_str("<details><summary>");
    for outcome in results.row(at) {
        let word = outcome.verdict.text();
        let _ = write!(page, "<span class=\"{word}\">{word}</span> ");
    }
    let _ = writeln!(page, "<code>{}</code></summary>", escape(&case.id));
    for cite in &case.cites {
        let sentence = cite.split(' ').next().and_then(spec::sentence);
        let _ = match sentence {
            Some(found) => writeln!(
                page,
                "<blockquote>{}<br><small>{} § {}, {}, version {}</small></blockquote>",
                escape(found.text),
                escape(&found.id),
                escape(found.section),
                found.level.word(),
                spec::VERSION
            ),
            None => writeln!(page, "<blockquote>{}</blockquote>", escape(cite)),
        };
    }
    for (runtime, outcome) in results.runtimes.iter().zip(results.row(at)) {
        let _ = write!(page, "<p><b>{}</b> ({} ms)", escape(&runtime.name), outcome.ms);
        if !outcome.reason.is_empty() {
            let _ = write!(page, ": {}", escape(&outcome.reason));
        }
        page.push_str("</p>\n");
        for seen in &outcome.saw {
            let _ = writeln!(page, "<pre>{}</pre>", escape(seen));
        }
    }
    page.push_str("</details>\n");
}
