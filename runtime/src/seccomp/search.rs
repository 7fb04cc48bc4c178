//! The same filter with a faster search for the system call.
//!
//! When a filter is loaded, the kernel goes through it once for each number of a system call, to
//! learn which of them it allows whatever their arguments (kernel/seccomp.c,
//! `seccomp_cache_prepare`), and compiles it. How long that takes depends on the way to each rule
//! and on the number of instructions. libseccomp compares with one number after the other, at best
//! at the leaves of a tree; neighbours that are treated alike need one comparison together.
//!
//! libseccomp decides what the filter means: nothing here knows system calls or rules. What its
//! program does is found by evaluating it, up to the [`Point`] where it has made up its mind about
//! architecture and number: it returns, or it begins to look at arguments. From there on its
//! instructions are carried over as they are. The new program is then evaluated in the same way and
//! used only if it comes to the same point in every case ([`same`]), and the old one is kept if it
//! is not, or if it has anything in it that is not understood.

use super::insn::{ARCH, Insn, NR, Test, X32_BIT};
use std::collections::{BTreeMap, BTreeSet};

mod build;

/// Where a program is when it has looked at the architecture and the number for the last time
/// before it looks at something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    /// It has returned this.
    Returned(u32),
    /// At this instruction, which loads something else: what was loaded before is forgotten.
    At(usize),
}

/// Numbers from this one on, up to where the next region starts, come to one point.
type Region = (u32, Point);

/// What a program does with every architecture and number.
#[derive(Debug, PartialEq, Eq)]
struct Decisions {
    /// The architectures it treats unlike others, with regions from number 0 on; no two neighbours
    /// have the same point.
    archs: BTreeMap<u32, Vec<Region>>,
    /// All other architectures.
    others: Vec<Region>,
}

/// The program `old` with a faster search, for a machine of the architecture `native`
/// (`AUDIT_ARCH_…`); nothing if there is none that is proved to be the same and no longer.
pub fn faster(old: &[Insn], native: u32) -> Option<Vec<Insn>> {
    let decisions = decisions(old, &cuts(&[old]))?;
    let new = build::program(old, &decisions, native)?;
    (new.insns.len() <= old.len() && same(old, &new)).then_some(new.insns)
}

/// A program made from another one.
#[derive(Debug, Clone)]
struct Remade {
    insns: Vec<Insn>,
    /// Which of them are instructions of the other one: their places in both.
    origins: BTreeMap<usize, usize>,
}

/// Whether the new program does what the old one does, in every case.
///
/// With each architecture and number both come to the same point, and the instructions from there
/// on are the same.
fn same(old: &[Insn], new: &Remade) -> bool {
    let cuts = cuts(&[old, &new.insns]);
    let (Some(before), Some(after)) = (decisions(old, &cuts), decisions(&new.insns, &cuts)) else {
        return false;
    };
    before
        .archs
        .keys()
        .chain(after.archs.keys())
        .all(|arch| alike(before.regions(*arch), after.regions(*arch), new))
        && alike(&before.others, &after.others, new)
        && new.origins.iter().all(|(place, origin)| carried(old, new, *origin, *place))
}

/// Whether two programs' regions are the same, apart from where the instructions have gone.
fn alike(old: &[Region], new: &[Region], remade: &Remade) -> bool {
    let origin = |(first, point): &Region| match point {
        Point::At(place) => remade.origins.get(place).map(|origin| (*first, Point::At(*origin))),
        Point::Returned(_) => Some((*first, *point)),
    };
    // Each origin has one place, so that regions that were apart still are.
    new.len() == old.len() && new.iter().zip(old).all(|(new, old)| origin(new) == Some(*old))
}

/// Whether the instruction at `place` is that of the old program at `origin`, and so are those that
/// may follow.
fn carried(old: &[Insn], new: &Remade, origin: usize, place: usize) -> bool {
    let (Some(was), Some(is)) = (old.get(origin), new.insns.get(place)) else { return false };
    let follows = match (was.next(origin), is.next(place)) {
        (None, None) => true,
        (Some(was), Some(is)) => {
            is.iter().zip(was).all(|(is, was)| new.origins.get(is) == Some(&was))
        }
        _ => false,
    };
    // The operand of an unconditional jump is a distance, which `follows` has compared.
    let operand = was.k == is.k || was.is_jump();
    was.code == is.code && operand && follows
}

/// Numbers between which no comparison of the programs changes its outcome, the first one 0.
fn cuts(programs: &[&[Insn]]) -> BTreeSet<u32> {
    let mut cuts = BTreeSet::from([0, X32_BIT, 2 * X32_BIT, 3 * X32_BIT]);
    for insn in programs.iter().copied().flatten().filter(|insn| insn.as_test().is_some()) {
        // Equal: a region of its own. Greater: from the next on. At least: from itself on.
        cuts.extend([Some(insn.k), insn.k.checked_add(1)].into_iter().flatten());
    }
    cuts
}

impl Decisions {
    fn regions(&self, arch: u32) -> &[Region] {
        self.archs.get(&arch).unwrap_or(&self.others)
    }
}

/// Evaluates the program with every architecture that it compares with and one that it doesn't,
/// and every number of `cuts`. Nothing if there is anything in it that isn't understood.
fn decisions(program: &[Insn], cuts: &BTreeSet<u32>) -> Option<Decisions> {
    let stranger = (1..=u32::MAX).rev().find(|arch| program.iter().all(|insn| insn.k != *arch))?;
    // Those that the way of a stranger is compared with, and those that their ways are: any other
    // architecture is a stranger, for each comparison on its way goes as with a stranger.
    let mut compared = BTreeSet::new();
    let others = regions(program, stranger, cuts, &mut compared)?;
    let mut archs = BTreeMap::new();
    while let Some(arch) = compared.iter().copied().find(|arch| !archs.contains_key(arch)) {
        archs.insert(arch, regions(program, arch, cuts, &mut compared)?);
    }
    Some(Decisions { archs, others })
}

fn regions(
    program: &[Insn],
    arch: u32,
    cuts: &BTreeSet<u32>,
    compared: &mut BTreeSet<u32>,
) -> Option<Vec<Region>> {
    let mut regions: Vec<Region> = Vec::new();
    for &nr in cuts {
        let point = reach(program, arch, nr, compared)?;
        if regions.last().is_none_or(|(_, last)| *last != point) {
            regions.push((nr, point));
        }
    }
    Some(regions)
}

/// The word of `struct seccomp_data` that was loaded last.
#[derive(Clone, Copy)]
enum Word {
    Arch,
    Nr,
}

/// Where the program comes to with this architecture and number. Adds to `compared` which
/// architectures it compares with on the way; nothing for a way that isn't understood.
fn reach(program: &[Insn], arch: u32, nr: u32, compared: &mut BTreeSet<u32>) -> Option<Point> {
    let (mut at, mut word) = (0, None);
    loop {
        let insn = program.get(at)?;
        if let Some(value) = insn.as_ret() {
            return Some(Point::Returned(value));
        }
        let [yes, no] = insn.next(at)?;
        at = if let Some(offset) = insn.as_load() {
            word = match offset {
                NR => Some(Word::Nr),
                ARCH => Some(Word::Arch),
                _ => return Some(Point::At(at)),
            };
            yes
        } else if let Some(test) = insn.as_test() {
            let holds = match (word?, test) {
                (Word::Arch, Test::Equal) => {
                    compared.insert(insn.k);
                    arch == insn.k
                }
                // `cuts` knows of no other bit.
                (Word::Nr, Test::AnyBit) if insn.k != X32_BIT => return None,
                (Word::Nr, test) => test.holds(nr, insn.k),
                (Word::Arch, _) => return None,
            };
            if holds { yes } else { no }
        } else if insn.is_jump() {
            yes
        } else {
            return None;
        };
    }
}

#[cfg(test)]
mod tests;
