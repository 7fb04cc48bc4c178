//! One page for a browser, nothing loaded from elsewhere: the matrix, and under each case its
//! sentences and what every runtime did.

use std::fmt::Write;

use super::junit::escape;
use super::text::fraction;
use super::{Results, Tally};
use crate::case::Case;
use crate::outcome::{Outcome, Word};
use crate::spec;

const HEAD: &str = include_str!("../../data/report.html");
const END: &str = include_str!("../../data/report-end.html");

/// The outcomes a table of runtimes counts, and their headings.
const COUNTED: [(Word, &str); 5] = [
    (Word::Pass, "passed"),
    (Word::Fail, "failed"),
    (Word::Warn, "warned"),
    (Word::Skip, "skipped"),
    (Word::Error, "not run"),
];

/// The report.
pub fn results(results: &Results) -> String {
    let mut page = String::from(HEAD);
    let _ = writeln!(
        page,
        "<h1>OCI runtime conformance</h1>\n<p>{} cases against the runtime specification {}. {}.</p>",
        results.cases.len(),
        spec::VERSION,
        escape(&results.host)
    );
    runtimes(&mut page, results);
    chapters(&mut page, results);
    page.push_str(LEGEND);
    for chapter in results.chapters() {
        let _ = writeln!(page, "<section>\n<h2 id=\"{0}\">{0}</h2>", escape(chapter));
        page.push_str("<div class=\"heads\">");
        for runtime in results.runtimes {
            let _ = write!(page, "<span>{}</span>", escape(&runtime.name));
        }
        page.push_str("</div>\n");
        for (at, case) in results.cases.iter().enumerate() {
            if case.chapter() == chapter {
                details(&mut page, results, at, case);
            }
        }
        page.push_str("</section>\n");
    }
    page.push_str(END);
    page
}

const LEGEND: &str = "\
<p><b>pass</b>: the runtime does what the sentence says. <b>fail</b>: it does something else, and \
the sentence is a MUST. <b>warn</b>: the same for a SHOULD, or for a sentence that binds the \
configuration's author. <b>skip</b>: the case does not apply. A case unfolds to its sentences and \
to what was seen.</p>
<nav><input id=\"word\" type=\"search\" placeholder=\"part of a case's name\" \
aria-label=\"part of a case's name\"><label><input id=\"open\" type=\"checkbox\" \
style=\"width: auto\"> only what is not passed everywhere</label></nav>
";

fn runtimes(page: &mut String, results: &Results) {
    page.push_str("<table><tr><th>runtime</th><th>version</th><th>specification</th>");
    for (_, heading) in COUNTED {
        let _ = write!(page, "<th>{heading}</th>");
    }
    page.push_str("</tr>\n");
    for (runtime, column) in results.runtimes.iter().zip(&results.columns) {
        let _ = write!(
            page,
            "<tr><td><b>{}</b></td><td>{}</td><td>{}</td>",
            escape(&runtime.name),
            escape(&runtime.version),
            escape(&runtime.claimed)
        );
        let tally = Tally::of(column);
        for (word, _) in COUNTED {
            let _ = write!(page, "<td class=\"number\">{}</td>", tally.count(word));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn chapters(page: &mut String, results: &Results) {
    page.push_str("<table><tr><th>passed of applicable</th>");
    for runtime in results.runtimes {
        let _ = write!(page, "<th>{}</th>", escape(&runtime.name));
    }
    page.push_str("</tr>\n");
    for chapter in results.chapters() {
        let _ = write!(page, "<tr><td><a href=\"#{0}\">{0}</a></td>", escape(chapter));
        for at in 0..results.runtimes.len() {
            let tally = results.chapter(at, chapter);
            let (class, cell) = (class(tally), fraction(tally));
            let _ = write!(page, "<td class=\"number {class}\">{cell}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

/// How a cell of the matrix looks.
fn class(tally: Tally) -> &'static str {
    match () {
        () if tally.count(Word::Fail) + tally.count(Word::Error) > 0 => "bad",
        () if tally.count(Word::Warn) > 0 => "fair",
        () if tally.count(Word::Pass) > 0 => "good",
        () => "",
    }
}

fn details(page: &mut String, results: &Results, at: usize, case: &Case) {
    let passed = results.row(at).all(|each| each.verdict == Word::Pass);
    let all = if passed { "pass" } else { "mixed" };
    let id = escape(&case.id);
    let _ = write!(page, "<details id=\"{id}\" data-all=\"{all}\"><summary><div class=\"chips\">");
    for outcome in results.row(at) {
        let word = outcome.verdict.text();
        let _ = write!(page, "<span class=\"{word}\">{word}</span>");
    }
    let name = case.id.split_once('/').map_or(case.id.as_str(), |(_, name)| name);
    let level = case.level().word();
    let _ = writeln!(page, "</div><code>{}</code> <small>{level}</small></summary>", escape(name));
    for cite in &case.cites {
        quote(page, cite);
    }
    page.push_str("<table class=\"evidence\">\n");
    for (runtime, outcome) in results.runtimes.iter().zip(results.row(at)) {
        evidence(page, &runtime.name, outcome);
    }
    page.push_str("</table></details>\n");
}

/// The whole sentence a case cites, or its source beyond the specification.
fn quote(page: &mut String, cite: &str) {
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

fn evidence(page: &mut String, name: &str, outcome: &Outcome) {
    let word = outcome.verdict.text();
    let _ = write!(
        page,
        "<tr><td><b>{}</b></td><td>{word}</td><td class=\"number\">{} ms</td><td>{}",
        escape(name),
        outcome.ms,
        escape(&outcome.reason)
    );
    if !outcome.saw.is_empty() {
        let _ = write!(page, "<pre>{}</pre>", escape(&outcome.saw.join("\n")));
    }
    page.push_str("</td></tr>\n");
}
