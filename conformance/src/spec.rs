//! The sentences of the specification that cases cite.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The version of the specification the sentences are quoted from.
pub const VERSION: &str = "1.3.0";

const SENTENCES: &str = include_str!("../data/sentences.tsv");
const REASONS: &str = include_str!("../data/reasons.tsv");

/// How strongly a sentence binds (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// MUST, MUST NOT, REQUIRED.
    Must,
    /// SHOULD, SHOULD NOT, RECOMMENDED.
    Should,
}

impl Level {
    /// The specification's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// One normative sentence.
#[derive(Debug)]
pub struct Sentence {
    /// `document:line`, with `.2`, `.3` … for further sentences of the same line.
    pub id: String,
    /// The document's file name.
    pub document: &'static str,
    /// The anchor of the heading it stands under.
    pub section: &'static str,
    /// Its strongest word.
    pub level: Level,
    /// The sentence, without its links and emphasis.
    pub text: &'static str,
}

/// Every sentence in the order of the documents.
pub static ALL: LazyLock<Vec<Sentence>> = LazyLock::new(|| parse(SENTENCES));

static BY_ID: LazyLock<HashMap<&'static str, &'static Sentence>> =
    LazyLock::new(|| ALL.iter().map(|sentence| (sentence.id.as_str(), sentence)).collect());

/// Why no case can prove a sentence, by the sentence's id.
pub static UNTESTED: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| REASONS.lines().filter_map(|line| line.split_once('\t')).collect());

/// The sentence `id` names.
pub fn sentence(id: &str) -> Option<&'static Sentence> {
    BY_ID.get(id).copied()
}

fn parse(text: &'static str) -> Vec<Sentence> {
    let mut seen: HashMap<(&str, &str), u32> = HashMap::new();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| {
        let mut fields = row.splitn(5, '\t');
        let (document, line) = (fields.next()?, fields.next()?);
        let (section, level, text) = (fields.next()?, fields.next()?, fields.next()?);
        let count = seen.entry((document, line)).or_default();
        *count += 1;
        let id = match *count {
            1 => format!("{document}:{line}"),
            n => format!("{document}:{line}.{n}"),
        };
        let level = if level == "MUST" { Level::Must } else { Level::Should };
        Some(Sentence { id, document, section, level, text })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        let rows = SENTENCES.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(ALL.len(), rows);
        assert!(rows > 350);
    }

    #[test]
    fn further_sentences_of_a_line_are_counted() {
        assert_eq!(sentence("config-linux.md:40").map(|s| s.section), Some("namespaces"));
        assert!(
            sentence("config-linux.md:40.2").is_some_and(|s| s.text.contains("of type `type`"))
        );
    }

    #[test]
    fn reasons_name_sentences() {
        for id in UNTESTED.keys() {
            assert!(sentence(id).is_some(), "{id}: no such sentence");
        }
    }
}
