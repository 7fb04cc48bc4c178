//! JUnit's XML, as CI systems read it: a suite a runtime.

use std::fmt::Write;

use super::{Results, Tally};
use crate::outcome::{Outcome, Word};

/// The report.
pub fn results(results: &Results) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (runtime, column) in results.runtimes.iter().zip(&results.columns) {
        let tally = Tally::of(column);
        let _ = writeln!(
            text,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" \
             time=\"{:.3}\">",
            escape(&runtime.name),
            column.len(),
            tally.count(Word::Fail),
            tally.count(Word::Error),
            tally.count(Word::Skip),
            seconds(column.iter().map(|outcome| outcome.ms).sum()),
        );
        for outcome in column {
            case(&mut text, outcome);
        }
        text.push_str("</testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, outcome: &Outcome) {
    let (chapter, name) = outcome.id.split_once('/').unwrap_or(("", &outcome.id));
    let _ = write!(
        text,
        "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
        escape(chapter),
        escape(name),
        seconds(outcome.ms)
    );
    let reason = escape(&outcome.reason);
    let _ = match outcome.verdict {
        Word::Fail => write!(text, "<failure message=\"{reason}\"/>"),
        Word::Error => write!(text, "<error message=\"{reason}\"/>"),
        Word::Skip => write!(text, "<skipped message=\"{reason}\"/>"),
        Word::Warn | Word::Pass => Ok(()),
    };
    if !outcome.saw.is_empty() {
        let _ = write!(text, "<system-out>{}</system-out>", escape(&outcome.saw.join("\n")));
    }
    // A warning is no failure to a CI system, and has no element of its own.
    if outcome.verdict == Word::Warn {
        let _ = write!(text, "<system-err>{reason}</system-err>");
    }
    text.push_str("</testcase>\n");
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

/// Text for XML and HTML; characters XML has no place for become blanks.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no place for these, escaped or not.
            '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            control if control.is_control() && control != '\n' && control != '\t' => {
                escaped.push(' ');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape("<a b=\"&\">\u{1b}[0m"), "&lt;a b=&quot;&amp;&quot;&gt; [0m");
    }
}
