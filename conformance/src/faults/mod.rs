//! Faults at system calls: a runtime that is killed, or refused something by the kernel, at any
//! moment must leave what `state` tells truthfully and `delete --force` clears away.

mod look;
mod posture;
mod registers;
mod sweep;
mod trace;

use nix::errno::Errno;

use crate::case::{Case, case};
use crate::mutant::refuses;
use crate::needs::Need;
use trace::Fault;

/// How many points of each sweep the suite tries unless told otherwise.
pub const SAMPLE: usize = 8;

/// The operations a fault may hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Start,
    Exec,
    Kill,
    Delete,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Create, Self::Start, Self::Exec, Self::Kill, Self::Delete];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Exec => "exec",
            Self::Kill => "kill",
            Self::Delete => "delete",
        }
    }
}

const FAULTS: [(&str, Fault); 6] = [
    ("killed", Fault::Kill),
    ("EIO", Fault::Error(Errno::EIO)),
    ("ENOSPC", Fault::Error(Errno::ENOSPC)),
    ("EMFILE", Fault::Error(Errno::EMFILE)),
    ("ENOMEM", Fault::Error(Errno::ENOMEM)),
    ("EPERM", Fault::Error(Errno::EPERM)),
];

/// A case for each operation and fault.
pub fn cases() -> Vec<Case> {
    let each = |operation: Operation| FAULTS.map(|(name, fault)| one(operation, name, fault));
    Operation::ALL.into_iter().flat_map(each).collect()
}

fn one(operation: Operation, name: &str, fault: Fault) -> Case {
    // Whatever the fault, a container that is not deleted stays.
    case(format!("faults/{}-{name}", operation.name()))
        .cites("runtime.md:143 MUST delete the resources that were created during the")
        .needs(Need::Root)
        .needs(Need::X86)
        .breaks(refuses("delete"))
        .runs(move |c| sweep::run(c, operation, fault))
}
