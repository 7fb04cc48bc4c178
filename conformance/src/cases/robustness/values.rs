//! Values of the right type that mean nothing, contradict each other or can't be granted.

use serde_json::Value;

use super::{bad_create, surround};
use crate::case::{Case, case};
use crate::context::Context;
use crate::mutant::{Break, refuses};
use crate::needs::Need;

/// Name, pointer, JSON value.
const FAULTS: &str = include_str!("../../../data/faults.tsv");

/// Properties by the version of the specification that brought them: an older runtime ignores
/// what it does not know (config.md, extensibility).
const SINCE: [(&str, &str); 8] = [
    ("/domainname", "1.1.0"),
    ("/process/scheduler", "1.1.0"),
    ("/process/ioPriority", "1.1.0"),
    ("/process/execCPUAffinity", "1.2.1"),
    ("/linux/timeOffsets", "1.1.0"),
    ("/linux/resources/cpu/idle", "1.1.0"),
    ("/linux/memoryPolicy", "1.3.0"),
    ("/linux/netDevices", "1.3.0"),
];

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> =
        rows().map(|(name, pointer, value)| fault(name, pointer, value)).collect();
    all.push(valid());
    all
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    FAULTS.lines().filter_map(|row| {
        let mut fields = row.splitn(3, '\t');
        let (name, pointer) = (fields.next()?, fields.next()?);
        Some((name, pointer, serde_json::from_str(fields.next()?).ok()?))
    })
}

fn fault(name: &str, pointer: &'static str, value: Value) -> Case {
    let mut start = case(format!("robustness/{name}"))
        .cites("config.md:760 MUST generate an error when invalid or unsupported values")
        .cites("runtime.md:84 as if the operation were never attempted");
    for (_, version) in SINCE.iter().filter(|(prefix, _)| pointer.starts_with(prefix)) {
        start = start.needs(Need::Spec(version));
    }
    if pointer.starts_with("/linux/timeOffsets") {
        start = start.needs(Need::Namespace("time"));
    }
    start.breaks(Break::Repair).runs(move |c| {
        surround(c, pointer);
        c.set(pointer, value.clone());
        c.write()?;
        bad_create(c)?;
        if pointer.starts_with("/linux/resources") {
            // Which limits there are, and in which files, depends on the version of cgroups.
            c.error.clear();
        }
        Ok(())
    })
}

/// The surroundings themselves are taken: it is the fault that is refused.
fn valid() -> Case {
    case("robustness/valid-surroundings-are-taken")
        .cites("runtime.md:109.2 MUST create a new container")
        .needs(Need::Root)
        .breaks(refuses("create"))
        .runs(|c| {
            everything(c);
            c.create().map(drop)
        })
}

fn everything(c: &mut Context) {
    for pointer in [
        "/process/rlimits/0",
        "/process/user/additionalGids/0",
        "/linux/maskedPaths/0",
        "/linux/readonlyPaths/0",
        "/linux/sysctl/kernel.msgmax",
        "/linux/personality/domain",
        "/linux/devices/0",
        "/linux/resources/devices/0",
        "/hooks/prestart/0",
    ] {
        surround(c, pointer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_fault() {
        let written = FAULTS.lines().filter(|row| !row.starts_with('#')).count();
        assert_eq!(rows().count(), written);
        assert!(written > 200);
    }
}
