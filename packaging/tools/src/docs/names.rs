//! Targets of make, files, tests and cases that pages name are there.

use super::page::Page;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the files that pages name without their folder are.
const BASES: [&str; 9] = [
    "",
    "runtime",
    "runtime/src",
    "runtime/tests/integration",
    "shim/src",
    "deck/src",
    "conformance",
    "conformance/src",
    "docs",
];

/// Extensions of files whose names are checked.
const FILES: [&str; 4] = [".rs", ".sh", ".mk", ".tsv"];

const TESTS: &str = "runtime/tests/integration";
const CASES: &str = "conformance/src/cases";

/// What there is to name.
pub struct Names {
    root: PathBuf,
    targets: BTreeSet<String>,
    /// Targets that `make help` is silent about.
    silent: Vec<String>,
}

impl Names {
    /// Reads the makefiles below `root`.
    ///
    /// # Errors
    /// A makefile that can't be read.
    pub fn new(root: &Path) -> Result<Self, String> {
        let (mut targets, mut silent) = (BTreeSet::new(), Vec::new());
        let folders = std::fs::read_dir(root).map_err(|error| error.to_string())?;
        let parts = folders.flatten().map(|entry| entry.path().join("targets.mk"));
        for file in parts.filter(|path| path.exists()).chain([root.join("Makefile")]) {
            let text = crate::read(&file)?;
            let names = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
            targets.extend(names.filter(|name| is_target(name)).map(str::to_owned));
            silent.extend(without_help(&text).map(str::to_owned));
        }
        Ok(Self { root: root.to_owned(), targets, silent })
    }

    /// Adds the targets that `make help` does not list.
    pub fn check_help(&self, wrong: &mut Vec<String>) {
        wrong.extend(self.silent.iter().map(|name| format!("make help says nothing of {name}")));
    }

    /// Adds the names in `page` that nothing has.
    pub fn check(&self, page: &Page, wrong: &mut Vec<String>) {
        for (line, span) in page.spans() {
            if let Some(what) = self.lacks(page, span) {
                wrong.push(format!("{}: `{span}`: {what}", page.at(line)));
            }
        }
        for block in &page.blocks {
            for (code, line) in block.code.iter().zip(block.line..) {
                let code = code.strip_prefix("$ ").unwrap_or(code);
                if let Some(target) = self.unknown_target(code) {
                    wrong.push(format!("{}: no target {target}", page.at(line)));
                }
            }
        }
    }

    fn lacks(&self, page: &Page, span: &str) -> Option<String> {
        if let Some(target) = self.unknown_target(span) {
            return Some(format!("no target {target}"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
        if !span.chars().all(plain) {
            return None;
        }
        if let Some((module, name)) = span.split_once("::").filter(|(_, name)| !name.contains(':'))
        {
            let text = self.module(module)?;
            return (!text.contains(&format!("fn {name}("))).then(|| "no such test".to_owned());
        }
        if FILES.iter().any(|extension| span.ends_with(extension)) {
            return self.no_file(page, span).then(|| "no such file".to_owned());
        }
        self.no_case(span).then(|| "no such case".to_owned())
    }

    /// The text of the tests called `module`, and of the module of that name.
    fn module(&self, module: &str) -> Option<String> {
        let file = format!("{module}.rs");
        let source = self.root.join("runtime/src");
        let mut text = String::new();
        let beside = source.join(format!("{module}_tests.rs"));
        for path in [self.root.join(TESTS).join(&file), source.join(&file), beside] {
            text.push_str(&crate::read(&path).unwrap_or_default());
        }
        text.push_str(&super::sources(&source.join(module)).unwrap_or_default());
        (!text.is_empty()).then_some(text)
    }

    fn unknown_target(&self, code: &str) -> Option<String> {
        let words = code.strip_prefix("make ")?.split_whitespace();
        words
            .take_while(|word| is_target(word) || word.contains('='))
            .find(|word| !word.contains('=') && !self.targets.contains(*word))
            .map(str::to_owned)
    }

    /// A path with a folder; names alone are too short to be looked for.
    fn no_file(&self, page: &Page, path: &str) -> bool {
        if !path.contains('/') || path.starts_with('/') {
            return false;
        }
        let beside = page.path.parent().unwrap_or(Path::new("")).join(path);
        let bases = BASES.iter().map(|base| Path::new(base).join(path));
        !bases.chain([beside]).any(|path| self.root.join(path).exists())
    }

    /// `chapter/name` of the conformance suite.
    fn no_case(&self, id: &str) -> bool {
        let Some((chapter, name)) = id.split_once('/') else { return false };
        if chapter.is_empty() || name.is_empty() || name.contains(['/', '.']) {
            return false;
        }
        let chapter = self.root.join(CASES).join(chapter.replace('-', "_"));
        let file = chapter.with_extension("rs");
        let text = match (file.exists(), chapter.is_dir()) {
            (true, _) => crate::read(&file),
            (_, true) => super::sources(&chapter),
            _ => return false,
        };
        let text = text.unwrap_or_default();
        ![name, id].iter().any(|it| text.contains(&format!("\"{it}\"")))
    }
}

/// The targets of a makefile without a text on their first line, which `make help` looks at.
fn without_help(makefile: &str) -> impl Iterator<Item = &str> {
    let phony = makefile.lines().filter_map(|line| line.strip_prefix(".PHONY: "));
    phony.flat_map(str::split_whitespace).filter(|name| {
        let has = |line: &str| {
            line.strip_prefix(name).is_some_and(|it| it.starts_with(':') && it.contains(" ## "))
        };
        !makefile.lines().any(has)
    })
}

/// What a target can be called.
fn is_target(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !word.is_empty() && word.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_a_text_on_their_own_line() {
        let of = |text| without_help(text).collect::<Vec<_>>();
        assert_eq!(of(".PHONY: a b\na: x ## Does it\nb: x \\\n\ty ## Late\n"), ["b"]);
        assert_eq!(of(".PHONY: a\nab: ## Another\n"), ["a"]);
    }

    #[test]
    fn names_of_this_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let names = Names::new(&root).unwrap();
        let page = Page::new("", "docs/x.md".into());
        let lacks = |span| names.lacks(&page, span);
        for good in [
            "make test",
            "make reference REFERENCE_TESTS=/usr/bin/crun",
            "plan/mod.rs",
            "runtime/src/plan/mod.rs",
            "lifecycle::start_works_once",
            "std::env",
            "process/args",
            "a.rs",
            "/etc/x.sh",
            "/grpc",
        ] {
            assert_eq!(lacks(good), None, "{good}");
        }
        for bad in ["make tests", "make test no-such", "plan/no.rs", "lifecycle::no", "process/no"]
        {
            assert!(lacks(bad).is_some(), "{bad}");
        }
    }
}
