//! All cases, a file a chapter.

mod adversity;
mod cgroup_limits;
mod cgroups;
mod compat;
mod compat_exec;
mod devices;
mod features;
mod hooks;
mod lifecycle;
mod limits;
mod linux;
mod listener;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod robustness;
mod rootless;
mod seccomp;
mod security;
mod state;
mod terminal;

use std::collections::BTreeMap;

use crate::case::Case;

/// Every case, in the order of the chapters.
pub fn all() -> Vec<Case> {
    let mut all = Vec::new();
    let chapters: &[fn() -> Vec<Case>] = &[
        lifecycle::cases,
        state::cases,
        hooks::cases,
        process::cases,
        limits::cases,
        mounts::cases,
        mount_options::cases,
        namespaces::cases,
        devices::cases,
        cgroups::cases,
        cgroup_limits::cases,
        seccomp::cases,
        listener::cases,
        linux::cases,
        net_devices::cases,
        features::cases,
        rootless::cases,
        compat::cases,
        compat_exec::cases,
        terminal::cases,
        security::cases,
        robustness::cases,
        adversity::cases,
        crate::faults::cases,
    ];
    for chapter in chapters {
        all.extend(chapter());
    }
    all
}

/// The namespaces of the suite, as the probe names a container's.
fn own_namespaces() -> BTreeMap<String, String> {
    let read = |name: &str| {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
        Some((name.to_owned(), link.display().to_string()))
    };
    ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
        .iter()
        .filter_map(|name| read(name))
        .collect()
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
