//! Writing the program: for each architecture a balanced search over the regions of its numbers.
//!
//! It is written from its end, because all jumps lead forward: when an instruction is written, the
//! places it jumps to are there already. Conditional jumps reach no farther than 255 instructions;
//! what is farther away is reached through a jump without a condition, and what only returns is
//! written again.

use super::super::insn::{ARCH, Insn, NR};
use super::{Decisions, Point, Region, Remade};
use std::collections::{BTreeMap, BTreeSet};

/// How far a conditional jump is let go: it could reach 255, and two more instructions may come
/// between.
const FAR: usize = 250;

/// An instruction as its distance from the end of the program: 0 is the last one.
type Place = usize;

/// Where a jump is to lead.
#[derive(Debug, Clone, Copy)]
enum Target {
    Written(Place),
    Point(Point),
}

struct Builder {
    /// The instructions, the last one first.
    reversed: Vec<Insn>,
    /// The places of those that were carried over, by where they were.
    carried: BTreeMap<usize, Place>,
    /// The nearest place that leads to a point.
    nearest: BTreeMap<Point, Place>,
}

/// The program that does what was decided; the architecture `native` comes first. Nothing if it
/// can't be written.
pub fn program(old: &[Insn], decisions: &Decisions, native: u32) -> Option<Remade> {
    let mut builder =
        Builder { reversed: Vec::new(), carried: BTreeMap::new(), nearest: BTreeMap::new() };
    builder.carry(old, decisions)?;
    let mut next = builder.search(&decisions.others)?;
    let mut archs: Vec<u32> =
        decisions.archs.keys().copied().filter(|arch| *arch != native).collect();
    archs.extend(decisions.archs.contains_key(&native).then_some(native));
    // What comes last is searched first.
    let mut entries = Vec::new();
    for arch in archs {
        let regions = decisions.regions(arch);
        if regions != decisions.others {
            entries.push((arch, builder.search(regions)?));
        }
    }
    if entries.is_empty() {
        // Whatever was written last comes first: a search, or what follows the one point.
        builder.near(next)?;
    } else {
        for (arch, entry) in entries {
            next = Target::Written(builder.branch(Insn::jump_equal, arch, entry, next)?);
        }
        builder.reversed.push(Insn::load(ARCH));
    }
    Some(builder.finish())
}

impl Builder {
    /// Writes the instructions that follow the points, in their old order.
    fn carry(&mut self, old: &[Insn], decisions: &Decisions) -> Option<()> {
        let all = decisions.archs.values().chain([&decisions.others]).flatten();
        let mut todo: Vec<usize> = all
            .filter_map(|(_, point)| match point {
                Point::At(at) => Some(*at),
                Point::Returned(_) => None,
            })
            .collect();
        let mut kept = BTreeSet::new();
        while let Some(at) = todo.pop() {
            if kept.insert(at) {
                todo.extend(old.get(at)?.next(at).into_iter().flatten());
            }
        }
        for at in kept.into_iter().rev() {
            let mut insn = *old.get(at)?;
            let place = self.reversed.len();
            if let Some(next) = insn.next(at) {
                let skip = |at| Some(place.checked_sub(*self.carried.get(&at)?)?.saturating_sub(1));
                let [yes, no] = next.map(skip);
                if insn.is_jump() {
                    insn.k = u32::try_from(yes?).ok()?;
                } else if insn.is_conditional() {
                    (insn.jt, insn.jf) = (u8::try_from(yes?).ok()?, u8::try_from(no?).ok()?);
                } else if yes? != 0 {
                    return None;
                }
            } else if let Some(value) = insn.as_ret() {
                self.nearest.insert(Point::Returned(value), place);
            }
            self.carried.insert(at, place);
            self.nearest.insert(Point::At(at), place);
            self.reversed.push(insn);
        }
        Some(())
    }

    /// The search for one architecture, with its load of the number.
    fn search(&mut self, regions: &[Region]) -> Option<Target> {
        if let [(_, point)] = regions {
            return Some(Target::Point(*point));
        }
        self.tree(regions)?;
        self.reversed.push(Insn::load(NR));
        Some(Target::Written(self.reversed.len() - 1))
    }

    fn tree(&mut self, regions: &[Region]) -> Option<Target> {
        if let [(_, point)] = regions {
            return Some(Target::Point(*point));
        }
        let (low, high) = regions.split_at_checked(regions.len() / 2)?;
        let (first, _) = *high.first()?;
        let high = self.tree(high)?;
        let low = self.tree(low)?;
        self.branch(Insn::jump_at_least, first, high, low).map(Target::Written)
    }

    fn branch(
        &mut self,
        insn: impl Fn(u32, u8, u8) -> Insn,
        k: u32,
        yes: Target,
        no: Target,
    ) -> Option<Place> {
        let (yes, no) = (self.near(yes)?, self.near(no)?);
        let place = self.reversed.len();
        let skip = |to: Place| u8::try_from(place - to - 1).ok();
        self.reversed.push(insn(k, skip(yes)?, skip(no)?));
        Some(place)
    }

    /// A place that leads to the target and that the next two instructions can jump to.
    fn near(&mut self, target: Target) -> Option<Place> {
        let place = self.reversed.len();
        let is_near = |to: &Place| place - to <= FAR;
        let known = match target {
            Target::Written(to) => Some(to),
            Target::Point(point) => self.nearest.get(&point).copied(),
        };
        if let Some(to) = known.filter(is_near) {
            return Some(to);
        }
        let jump = |to| Some(Insn::jump(u32::try_from(place - to - 1).ok()?));
        self.reversed.push(match target {
            Target::Written(to) => jump(to)?,
            Target::Point(Point::At(at)) => jump(*self.carried.get(&at)?)?,
            Target::Point(Point::Returned(value)) => Insn::ret(value),
        });
        if let Target::Point(point) = target {
            self.nearest.insert(point, place);
        }
        Some(place)
    }

    fn finish(mut self) -> Remade {
        let last = self.reversed.len().saturating_sub(1);
        self.reversed.reverse();
        let origins = self.carried.into_iter().map(|(origin, place)| (last - place, origin));
        Remade { insns: self.reversed, origins: origins.collect() }
    }
}
