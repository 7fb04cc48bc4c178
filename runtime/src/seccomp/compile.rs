//! From the plan to a BPF program, by libseccomp.

use super::{enosys, insn, is_program, search};
use crate::error::{At, Error, Result};
use crate::plan::seccomp::{ARCHITECTURES, Action, Arch, Condition, FilterPlan, Operator, Rule};
use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
    ScmpVersion,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek};

/// Filters for more system calls than this become a binary tree: fewer instructions on the way to
/// each rule, which the kernel also walks once per system call when it loads the filter (0.26 ms
/// against 1 ms) where [`search`] has to leave it as it is. Not for the small ones, because
/// libseccomp up to 2.5.4 makes wrong trees of filters without rules.
const LINEAR_MAX: usize = 32;

/// Makes the program; tells `unknown` the system call names libseccomp does not know.
///
/// These are ignored, as in runc: profiles name system calls of newer kernels.
pub fn compile(plan: &FilterPlan, unknown: &mut dyn FnMut(&str)) -> Result<Vec<u8>> {
    let bpf = original(plan, unknown)?;
    let faster = search::faster(&insn::decode(&bpf), native()?.audit);
    Ok(faster.map_or(bpf, |insns| insn::encode(&insns)))
}

/// The program as libseccomp makes it, behind the stub.
pub(super) fn original(plan: &FilterPlan, unknown: &mut dyn FnMut(&str)) -> Result<Vec<u8>> {
    let mut context = ScmpFilterContext::new(action(plan.default))
        .map_err(|error| failed("making a seccomp filter", &error))?;
    for arch in &plan.archs {
        context.add_arch(arch.scmp).map_err(|error| {
            failed(&format!("adding {} with libseccomp {}", arch.name, version()), &error)
        })?;
    }
    if plan.rules.iter().map(|rule| rule.names.len()).sum::<usize>() > LINEAR_MAX {
        context
            .set_ctl_optimize(2)
            .map_err(|error| failed("choosing a binary tree for the seccomp filter", &error))?;
    }
    // libseccomp refuses rules that say what happens anyway.
    for rule in plan.rules.iter().filter(|rule| rule.action != plan.default) {
        add_rule(&mut context, rule, unknown)?;
    }
    let mut bpf = enosys::stub(plan.default, &enosys::horizons(plan));
    export(&context, &mut bpf)?;
    if !is_program(&bpf) {
        return Err(Error::config(format!(
            "linux.seccomp: {} bytes of BPF are too many",
            bpf.len()
        )));
    }
    Ok(bpf)
}

/// The version of libseccomp this program runs with.
pub fn version() -> String {
    ScmpVersion::current().map_or_else(|_| "of unknown version".to_owned(), |v| v.to_string())
}

/// The architecture libseccomp was built for, which every filter covers.
pub fn native() -> Result<&'static Arch> {
    let native = ScmpArch::native();
    ARCHITECTURES
        .iter()
        .find(|arch| arch.scmp == native)
        .ok_or_else(|| Error::unsupported(format!("seccomp on {native:?}")))
}

/// Whether this libseccomp knows the architecture.
pub fn knows(arch: &Arch) -> bool {
    // All architectures have read(2); only an unknown architecture has none.
    ScmpSyscall::from_name_by_arch("read", arch.scmp).is_ok()
}

fn add_rule(
    context: &mut ScmpFilterContext,
    rule: &Rule,
    unknown: &mut dyn FnMut(&str),
) -> Result<()> {
    let conditions: Vec<_> = rule.conditions.iter().map(compare).collect();
    for name in rule.names.iter() {
        let Ok(syscall) = ScmpSyscall::from_name(name) else {
            unknown(name);
            continue;
        };
        context
            .add_rule_conditional(action(rule.action), syscall, &conditions)
            .map_err(|error| failed(&format!("adding a seccomp rule for {name}"), &error))?;
    }
    Ok(())
}

fn compare(condition: &Condition) -> ScmpArgCompare {
    let operator = match condition.operator {
        Operator::NotEqual => ScmpCompareOp::NotEqual,
        Operator::Less => ScmpCompareOp::Less,
        Operator::LessOrEqual => ScmpCompareOp::LessOrEqual,
        Operator::Equal => ScmpCompareOp::Equal,
        Operator::GreaterOrEqual => ScmpCompareOp::GreaterEqual,
        Operator::Greater => ScmpCompareOp::Greater,
        Operator::MaskedEqual => ScmpCompareOp::MaskedEqual(condition.mask),
    };
    ScmpArgCompare::new(condition.index, operator, condition.value)
}

fn action(action: Action) -> ScmpAction {
    match action {
        Action::KillThread => ScmpAction::KillThread,
        Action::KillProcess => ScmpAction::KillProcess,
        Action::Trap => ScmpAction::Trap,
        Action::Errno(errno) => ScmpAction::Errno(errno.into()),
        Action::Trace(message) => ScmpAction::Trace(message),
        Action::Log => ScmpAction::Log,
        Action::Allow => ScmpAction::Allow,
        Action::Notify => ScmpAction::Notify,
    }
}

/// Appends libseccomp's program to `bpf`. Through a memfd, for libseccomp before 2.6 writes to
/// files only and a pipe would block if it ever wrote more than the pipe holds.
fn export(context: &ScmpFilterContext, bpf: &mut Vec<u8>) -> Result<()> {
    let memfd = memfd_create("seccomp", MFdFlags::MFD_CLOEXEC).at(|| "memfd_create(seccomp)")?;
    let mut file = File::from(memfd);
    context.export_bpf(&file).map_err(|error| failed("exporting the seccomp filter", &error))?;
    file.rewind().at(|| "lseek(seccomp memfd)")?;
    file.read_to_end(bpf).at(|| "read(seccomp memfd)")?;
    Ok(())
}

fn failed(what: &str, error: &SeccompError) -> Error {
    Error::unsupported(format!("{what}: {error}"))
}
