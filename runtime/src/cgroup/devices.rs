//! Device access rules: what a list of rules means, and how to say it to cgroup v1.
//!
//! A list is read in order and the last rule about a device and an access decides; without any,
//! access is denied. cgroup v2 gets exactly that as a program ([`super::program`]). The devices
//! controller of v1 knows less: a default and exceptions to it, so a list that it can't express
//! (a hole in a wildcard) is refused; the kernel itself would ignore such a rule in silence.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

/// mknod(2).
pub const MKNOD: u8 = 1;
/// Opening for reading.
pub const READ: u8 = 2;
/// Opening for writing.
pub const WRITE: u8 = 4;
/// All three.
pub const ALL: u8 = MKNOD | READ | WRITE;

/// Block or character device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// Block.
    Block,
    /// Character.
    Char,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Allowed or denied.
    pub allow: bool,
    /// Absent: both types.
    pub typ: Option<Type>,
    /// Absent: all.
    pub major: Option<u32>,
    /// Absent: all.
    pub minor: Option<u32>,
    /// [`MKNOD`], [`READ`], [`WRITE`].
    pub access: u8,
}

impl Rule {
    /// Whether the rule is about every access to every device: it ends what came before it.
    pub fn is_total(&self) -> bool {
        self.typ.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }

    /// Whether the rule is about this device.
    pub fn is_about(&self, typ: Type, major: u32, minor: u32) -> bool {
        self.typ.is_none_or(|own| own == typ)
            && self.major.is_none_or(|own| own == major)
            && self.minor.is_none_or(|own| own == minor)
    }
}

/// What `rules` say about `access` to a device; the definition that programs are tested against.
pub fn allows(rules: &[Rule], typ: Type, major: u32, minor: u32, access: u8) -> bool {
    [MKNOD, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
        rules
            .iter()
            .rev()
            .find(|rule| rule.access & bit != 0 && rule.is_about(typ, major, minor))
            .is_some_and(|rule| rule.allow)
    })
}

/// The rules that still matter: nothing before the last rule about everything does.
pub fn effective(rules: &[Rule]) -> &[Rule] {
    let start = rules.iter().rposition(Rule::is_total).unwrap_or(0);
    rules.get(start..).unwrap_or_default()
}

/// A set of devices as cgroup v1 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Set {
    typ: Type,
    major: Option<u32>,
    minor: Option<u32>,
}

impl Set {
    /// Whether `other` is a subset of (or equal to) this.
    fn covers(&self, other: &Self) -> bool {
        self.typ == other.typ
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    /// Whether the two have a device in common.
    fn meets(&self, other: &Self) -> bool {
        let overlap = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.typ == other.typ
            && overlap(self.major, other.major)
            && overlap(self.minor, other.minor)
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(if self.typ == Type::Block { 'b' } else { 'c' })?;
        for (separator, number) in [(' ', self.major), (':', self.minor)] {
            f.write_char(separator)?;
            match number {
                Some(number) => write!(f, "{number}")?,
                None => f.write_char('*')?,
            }
        }
        Ok(())
    }
}

/// `access` as letters.
fn letters(access: u8) -> String {
    [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .into_iter()
        .filter_map(|(bit, letter)| (access & bit != 0).then_some(letter))
        .collect()
}

/// A state of the devices controller of cgroup v1.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Whitelist {
    /// What happens to devices that are no exception.
    default_allow: bool,
    /// Accesses that are an exception from the default.
    exceptions: BTreeMap<Set, u8>,
}

/// One write to `devices.allow` or `devices.deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which of the two files.
    pub allow: bool,
    /// What to write.
    pub value: String,
}

impl Whitelist {
    /// The state `rules` ask for.
    pub fn new(rules: &[Rule]) -> Result<Self> {
        let mut state = Self::default();
        for rule in effective(rules) {
            if rule.is_total() {
                state = Self { default_allow: rule.allow, exceptions: BTreeMap::new() };
                continue;
            }
            for typ in [Type::Block, Type::Char] {
                if rule.typ.is_none_or(|own| own == typ) {
                    let set = Set { typ, major: rule.major, minor: rule.minor };
                    state.add(set, rule.access, rule.allow)?;
                }
            }
        }
        Ok(state)
    }

    /// One more rule.
    fn add(&mut self, set: Set, access: u8, allow: bool) -> Result<()> {
        if allow != self.default_allow {
            *self.exceptions.entry(set).or_default() |= access;
            return Ok(());
        }
        for (other, has) in &mut self.exceptions {
            if *has & access == 0 || !set.meets(other) {
                continue;
            }
            if !set.covers(other) {
                let (asked, wide) = (letters(access), letters(*has));
                return Err(Error::unsupported(format!(
                    "device rule {set} {asked} would be a hole in {other} {wide}, which cgroup v1 \
                     can't express"
                )));
            }
            *has &= !access;
        }
        self.exceptions.retain(|_, has| *has != 0);
        Ok(())
    }

    /// The state that the content of `devices.list` tells. The file does not list the exceptions
    /// of a cgroup that allows by default, so those are unknown.
    pub fn parse(list: &str) -> Option<Self> {
        let mut state = Self::default();
        for line in list.lines() {
            let mut words = line.split([' ', ':']);
            let (kind, major, minor, access) =
                (words.next()?, words.next()?, words.next()?, words.next()?);
            let typ = match kind {
                "a" => return Some(Self { default_allow: true, exceptions: BTreeMap::new() }),
                "b" => Type::Block,
                "c" => Type::Char,
                _ => return None,
            };
            let number = |text: &str| match text {
                "*" => Some(None),
                text => text.parse().ok().map(Some),
            };
            let set = Set { typ, major: number(major)?, minor: number(minor)? };
            state.exceptions.insert(set, parse_access(access)?);
        }
        Some(state)
    }

    /// The writes that lead from `current` to this state. Without `current`, or from a cgroup that
    /// allows by default, everything is set anew; between two lists only the differences are
    /// written, so that a running process never loses a device it keeps.
    pub fn entries(&self, current: Option<&Self>) -> Vec<Entry> {
        let mut entries = Vec::new();
        let none = BTreeMap::new();
        let before = match current {
            Some(state) if !state.default_allow && !self.default_allow => &state.exceptions,
            _ => {
                entries.push(Entry { allow: self.default_allow, value: "a".to_owned() });
                &none
            }
        };
        let mut differences = |allow, from: &BTreeMap<Set, u8>, to: &BTreeMap<Set, u8>| {
            for (set, access) in from {
                let access = access & !to.get(set).copied().unwrap_or_default();
                if access != 0 {
                    let value = format!("{set} {}", letters(access));
                    entries.push(Entry { allow, value });
                }
            }
        };
        differences(self.default_allow, before, &self.exceptions);
        differences(!self.default_allow, &self.exceptions, before);
        entries
    }
}

/// Letters as bits; nothing for any other letter or none at all.
pub fn parse_access(text: &str) -> Option<u8> {
    let bit = |letter| match letter {
        'r' => Some(READ),
        'w' => Some(WRITE),
        'm' => Some(MKNOD),
        _ => None,
    };
    let access = text.chars().try_fold(0, |bits, letter| Some(bits | bit(letter)?))?;
    (access != 0).then_some(access)
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
