//! All cases, a file a chapter.

mod process;
mod state;

use crate::case::Case;

/// Every case, in the order of the chapters.
pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for chapter in [process::cases, state::cases] {
        all.extend(chapter());
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::spec;

    #[test]
    fn ids_are_unique() {
        let mut seen = HashSet::new();
        for case in all() {
            assert!(case.id.contains('/'), "{}", case.id);
            assert!(seen.insert(case.id.clone()), "{} twice", case.id);
        }
    }

    #[test]
    fn citations_are_words_of_the_specification() {
        for case in all() {
            assert!(!case.cites.is_empty(), "{} cites nothing", case.id);
            for cite in case.cites.iter().filter(|cite| cite.contains(".md:")) {
                let (id, words) = cite.split_once(' ').unwrap_or((cite, ""));
                let sentence = spec::sentence(id);
                let sentence = sentence.unwrap_or_else(|| panic!("{}: no sentence {id}", case.id));
                assert!(!words.is_empty(), "{}: {id} without its words", case.id);
                let found = sentence.text.contains(words);
                assert!(found, "{}: {id} says {:?}, not {words:?}", case.id, sentence.text);
            }
        }
    }

    #[test]
    fn a_sentence_with_a_case_needs_no_reason() {
        for case in all() {
            for id in case.sentences() {
                assert!(!spec::UNTESTED.contains_key(id), "{id}: proven by {}", case.id);
            }
        }
    }
}
