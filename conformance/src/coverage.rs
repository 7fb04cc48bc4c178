//! Which sentences have cases, and why the others have none.

use std::collections::HashMap;
use std::fmt::Write;

use crate::case::Case;
use crate::spec::{self, Level, Sentence};

/// The list, and whether every MUST has a case or a reason.
pub fn report(cases: &[Case]) -> (String, bool) {
    let mut proofs: HashMap<&str, Vec<&str>> = HashMap::new();
    for case in cases {
        for sentence in case.sentences() {
            proofs.entry(sentence).or_default().push(&case.id);
        }
    }
    let mut text = String::new();
    let mut document = "";
    for sentence in spec::ALL.iter() {
        if sentence.document != document {
            document = sentence.document;
            let _ = writeln!(text, "# {document}, version {}\n", spec::VERSION);
        }
        describe(&mut text, sentence, proofs.get(sentence.id.as_str()));
    }
    let open = summary(&mut text, &proofs);
    (text, open == 0)
}

fn describe(text: &mut String, sentence: &Sentence, proofs: Option<&Vec<&str>>) {
    let Sentence { id, section, level, text: words, .. } = sentence;
    let _ = writeln!(text, "{id} § {section} {}: {words}", level.word());
    let _ = match (proofs, spec::UNTESTED.get(id.as_str())) {
        (Some(cases), _) => writeln!(text, "    {}\n", cases.join(", ")),
        (None, Some(reason)) => writeln!(text, "    no case: {reason}\n"),
        (None, None) => writeln!(text, "    OPEN\n"),
    };
}

/// Counts, and how many MUSTs are open.
fn summary(text: &mut String, proofs: &HashMap<&str, Vec<&str>>) -> usize {
    let mut open_musts = 0;
    for level in [Level::Must, Level::Should] {
        let all: Vec<&Sentence> = spec::ALL.iter().filter(|each| each.level == level).collect();
        let proven = all.iter().filter(|each| proofs.contains_key(each.id.as_str())).count();
        let open = all.iter().filter(|each| is_open(each, proofs)).count();
        let reasoned = all.len() - proven - open;
        let _ = writeln!(
            text,
            "{}: {} sentences, {proven} with cases, {reasoned} with a reason, {open} open",
            level.word(),
            all.len()
        );
        if level == Level::Must {
            open_musts = open;
        }
    }
    open_musts
}

fn is_open(sentence: &Sentence, proofs: &HashMap<&str, Vec<&str>>) -> bool {
    !proofs.contains_key(sentence.id.as_str()) && !spec::UNTESTED.contains_key(sentence.id.as_str())
}
