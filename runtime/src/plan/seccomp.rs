//! From `linux.seccomp` to a checked filter description; touches nothing.
//!
//! The rules are those of runtime-spec `config-linux.md#seccomp`. What the specification leaves
//! open is decided as runc decides it, so that a profile means the same with both.

use crate::spec::Problem;
use crate::spec::linux::{Seccomp, SyscallArg, SyscallRule};
use crate::spec::names::Names;
use crate::sys::seccomp::{LOG, NEW_LISTENER, SPEC_ALLOW, TSYNC, WAIT_KILLABLE_RECV};
use libseccomp::ScmpArch;

/// A system call filter, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPlan<'a> {
    /// What happens to system calls no rule matches.
    pub default: Action,
    /// Architectures besides the native one, in the order of [`ARCHITECTURES`], each once.
    pub archs: Vec<&'static Arch>,
    /// `SECCOMP_FILTER_FLAG_…` for seccomp(2).
    pub flags: u32,
    /// Rules, in order.
    pub rules: Vec<Rule<'a>>,
    /// Who gets the notification fd; set exactly when a rule notifies.
    pub listener: Option<Listener<'a>>,
}

/// An action for some system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule<'a> {
    /// System call names; some may be unknown to libseccomp.
    pub names: &'a Names,
    /// What happens.
    pub action: Action,
    /// Conditions that must all be true, at most one per argument.
    pub conditions: Vec<Condition>,
}

/// A condition on one argument of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub index: u32,
    /// How to compare.
    pub operator: Operator,
    /// What the argument, after the mask, is compared with.
    pub value: u64,
    /// Bits of the argument that count.
    pub mask: u64,
}

/// `SCMP_CMP_…`; masked equality is equality with a [`Condition::mask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

/// Where the notification fd goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener<'a> {
    /// A listening stream socket.
    pub path: &'a str,
    /// Opaque data for the seccomp agent.
    pub metadata: &'a str,
}

/// `SCMP_ACT_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The thread is killed.
    KillThread,
    /// The process is killed.
    KillProcess,
    /// SIGSYS.
    Trap,
    /// The call fails with the errno.
    Errno(u16),
    /// A tracer is asked, with the message.
    Trace(u16),
    /// Allowed, and logged.
    Log,
    /// Allowed.
    Allow,
    /// The seccomp agent is asked.
    Notify,
}

impl Action {
    /// The value the filter returns to the kernel.
    pub fn ret(self) -> u32 {
        match self {
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Self::Trace(message) => libc::SECCOMP_RET_TRACE | u32::from(message),
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Notify => libc::SECCOMP_RET_USER_NOTIF,
        }
    }
}

/// An architecture a filter can be made for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// `SCMP_ARCH_…`.
    pub name: &'static str,
    /// libseccomp's name.
    pub scmp: ScmpArch,
    /// What the kernel says in `seccomp_data.arch` (`AUDIT_ARCH_…` of linux/audit.h).
    pub audit: u32,
}

const fn arch(name: &'static str, scmp: ScmpArch, audit: u32) -> Arch {
    Arch { name, scmp, audit }
}

/// The architectures of the specification, by name.
pub static ARCHITECTURES: [Arch; 23] = [
    arch("SCMP_ARCH_AARCH64", ScmpArch::Aarch64, 0xc000_00b7),
    arch("SCMP_ARCH_ARM", ScmpArch::Arm, 0x4000_0028),
    arch("SCMP_ARCH_LOONGARCH64", ScmpArch::Loongarch64, 0xc000_0102),
    arch("SCMP_ARCH_M68K", ScmpArch::M68k, 0x0000_0004),
    arch("SCMP_ARCH_MIPS", ScmpArch::Mips, 0x0000_0008),
    arch("SCMP_ARCH_MIPS64", ScmpArch::Mips64, 0x8000_0008),
    arch("SCMP_ARCH_MIPS64N32", ScmpArch::Mips64N32, 0xa000_0008),
    arch("SCMP_ARCH_MIPSEL", ScmpArch::Mipsel, 0x4000_0008),
    arch("SCMP_ARCH_MIPSEL64", ScmpArch::Mipsel64, 0xc000_0008),
    arch("SCMP_ARCH_MIPSEL64N32", ScmpArch::Mipsel64N32, 0xe000_0008),
    arch("SCMP_ARCH_PARISC", ScmpArch::Parisc, 0x0000_000f),
    arch("SCMP_ARCH_PARISC64", ScmpArch::Parisc64, 0x8000_000f),
    arch("SCMP_ARCH_PPC", ScmpArch::Ppc, 0x0000_0014),
    arch("SCMP_ARCH_PPC64", ScmpArch::Ppc64, 0x8000_0015),
    arch("SCMP_ARCH_PPC64LE", ScmpArch::Ppc64Le, 0xc000_0015),
    arch("SCMP_ARCH_RISCV64", ScmpArch::Riscv64, 0xc000_00f3),
    arch("SCMP_ARCH_S390", ScmpArch::S390, 0x0000_0016),
    arch("SCMP_ARCH_S390X", ScmpArch::S390X, 0x8000_0016),
    arch("SCMP_ARCH_SH", ScmpArch::Sh, 0x4000_002a),
    arch("SCMP_ARCH_SHEB", ScmpArch::Sheb, 0x0000_002a),
    // The kernel tells x32 from x86-64 by a bit of the system call number only.
    arch("SCMP_ARCH_X32", ScmpArch::X32, 0xc000_003e),
    arch("SCMP_ARCH_X86", ScmpArch::X86, 0x4000_0003),
    arch("SCMP_ARCH_X86_64", ScmpArch::X8664, 0xc000_003e),
];

/// The actions of the specification, by name.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// The comparisons of the specification, by name.
pub const OPERATORS: [(&str, Operator); 7] = [
    ("SCMP_CMP_EQ", Operator::Equal),
    ("SCMP_CMP_GE", Operator::GreaterOrEqual),
    ("SCMP_CMP_GT", Operator::Greater),
    ("SCMP_CMP_LE", Operator::LessOrEqual),
    ("SCMP_CMP_LT", Operator::Less),
    ("SCMP_CMP_MASKED_EQ", Operator::MaskedEqual),
    ("SCMP_CMP_NE", Operator::NotEqual),
];

/// The filter flags of the specification, in the order runc reports them.
pub const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", TSYNC),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_LOG", LOG),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE_RECV),
];

/// The greatest errno the kernel can return (`MAX_ERRNO`); it silently lowers greater ones.
const MAX_ERRNO: u16 = 4095;

/// System calls have six arguments.
const ARGUMENTS: u32 = 6;

/// Checks `linux.seccomp`; reports every broken rule.
pub fn plan(seccomp: &Seccomp) -> Result<FilterPlan<'_>, Vec<Problem>> {
    let mut problems = Vec::new();
    let default = default_action(seccomp, &mut problems);
    let archs = architectures(&seccomp.architectures, &mut problems);
    let mut rules = Vec::with_capacity(seccomp.syscalls.len());
    for (index, rule) in seccomp.syscalls.iter().enumerate() {
        check_rule(rule, index, &mut rules, &mut problems);
    }
    let notifies = rules.iter().any(|rule| rule.action == Action::Notify);
    let flags = flags(seccomp.flags.as_deref(), notifies, &mut problems);
    let listener = listener(seccomp, notifies, &mut problems);
    match default {
        Some(default) if problems.is_empty() => {
            Ok(FilterPlan { default, archs, flags, rules, listener })
        }
        _ => Err(problems),
    }
}

impl FilterPlan<'_> {
    /// Appends the part of the plan the BPF program depends on; differs when that differs.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // No name has this byte, and none is empty.
        const END: u8 = 0;
        out.extend(self.default.ret().to_ne_bytes());
        for arch in &self.archs {
            out.extend(arch.name.as_bytes());
            out.push(END);
        }
        out.push(END);
        for rule in &self.rules {
            out.extend(rule.action.ret().to_ne_bytes());
            out.extend_from_slice(rule.names.terminated());
            out.push(END);
            out.extend(rule.conditions.len().to_ne_bytes());
            for condition in &rule.conditions {
                out.extend(condition.index.to_ne_bytes());
                out.push(condition.operator as u8);
                out.extend(condition.value.to_ne_bytes());
                out.extend(condition.mask.to_ne_bytes());
            }
        }
    }
}

fn default_action(seccomp: &Seccomp, problems: &mut Vec<Problem>) -> Option<Action> {
    let at = |property: &str| match property {
        "action" => "linux.seccomp.defaultAction".to_owned(),
        _ => "linux.seccomp.defaultErrnoRet".to_owned(),
    };
    let default = action(&seccomp.default_action, seccomp.default_errno_ret, at, problems);
    if default == Some(Action::Notify) {
        // write(2) would notify too, and the notification fd could never be sent to the agent.
        problems.push(Problem::new(
            "linux.seccomp.defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ));
    }
    default
}

/// The action called `name`; `at` tells where its properties `action` and `errnoRet` are.
fn action(
    name: &str,
    errno_ret: Option<u32>,
    at: impl Fn(&str) -> String,
    problems: &mut Vec<Problem>,
) -> Option<Action> {
    // The specification's default for both actions that carry a value.
    const EPERM: u32 = libc::EPERM.unsigned_abs();
    let action = match name {
        "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE" => {
            let trace = name == "SCMP_ACT_TRACE";
            let max = if trace { u16::MAX } else { MAX_ERRNO };
            let value = errno_ret.unwrap_or(EPERM);
            return match u16::try_from(value) {
                Ok(value) if value <= max && trace => Some(Action::Trace(value)),
                Ok(value) if value <= max => Some(Action::Errno(value)),
                _ => {
                    let what = format!("{value} is greater than {max}, the most {name} can carry");
                    problems.push(Problem::new(at("errnoRet"), what));
                    None
                }
            };
        }
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_TRAP" => Action::Trap,
        "" => {
            problems.push(Problem::new(at("action"), "is required"));
            return None;
        }
        _ => {
            problems.push(Problem::new(at("action"), format!("unknown action {name:?}")));
            return None;
        }
    };
    if errno_ret.is_some() {
        problems.push(Problem::new(at("errnoRet"), format!("{name} takes no errno")));
    }
    Some(action)
}

fn architectures(names: &[String], problems: &mut Vec<Problem>) -> Vec<&'static Arch> {
    for (index, name) in names.iter().enumerate() {
        if !ARCHITECTURES.iter().any(|arch| arch.name == name) {
            problems.push(Problem::new(
                format!("linux.seccomp.architectures[{index}]"),
                format!("unknown architecture {name:?}"),
            ));
        }
    }
    ARCHITECTURES.iter().filter(|arch| names.iter().any(|name| name == arch.name)).collect()
}

/// Appends the rule; as several rules when conditions share an argument.
fn check_rule<'a>(
    rule: &'a SyscallRule,
    index: usize,
    rules: &mut Vec<Rule<'a>>,
    problems: &mut Vec<Problem>,
) {
    let at = |property: &str| format!("linux.seccomp.syscalls[{index}].{property}");
    let action = action(&rule.action, rule.errno_ret, at, problems);
    if rule.names.is_empty() {
        problems.push(Problem::new(at("names"), "must contain at least one name"));
    }
    for (n, name) in rule.names.iter().enumerate() {
        if name.is_empty() {
            problems.push(Problem::new(at(&format!("names[{n}]")), "must not be empty"));
        } else if action == Some(Action::Notify) && name == "write" {
            // The child hands the notification fd to the runtime with write(2) or its like after
            // the filter is loaded, when nobody answers notifications yet.
            let what = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
            problems.push(Problem::new(at(&format!("names[{n}]")), what));
        }
    }
    let mut conditions = Vec::with_capacity(rule.args.len());
    for (n, arg) in rule.args.iter().enumerate() {
        let at = |property: &str| at(&format!("args[{n}].{property}"));
        conditions.extend(condition(arg, at, problems));
    }
    let Some(action) = action else { return };
    let names = &rule.names;
    let shared = |(n, c): (usize, &Condition)| conditions[..n].iter().any(|d| d.index == c.index);
    if conditions.iter().enumerate().any(shared) {
        // A libseccomp rule compares each argument once. runc then makes a rule of each
        // condition, so any of them suffices; profiles rely on it.
        rules.extend(conditions.iter().map(|&c| Rule { names, action, conditions: vec![c] }));
    } else {
        rules.push(Rule { names, action, conditions });
    }
}

fn condition(
    arg: &SyscallArg,
    at: impl Fn(&str) -> String,
    problems: &mut Vec<Problem>,
) -> Option<Condition> {
    if arg.index >= ARGUMENTS {
        let what = format!("{} is greater than {}", arg.index, ARGUMENTS - 1);
        problems.push(Problem::new(at("index"), what));
    }
    let Some(&(_, operator)) = OPERATORS.iter().find(|(name, _)| *name == arg.op) else {
        let what = match arg.op.as_str() {
            "" => "is required".to_owned(),
            op => format!("unknown operator {op:?}"),
        };
        problems.push(Problem::new(at("op"), what));
        return None;
    };
    let (value, mask) = match operator {
        Operator::MaskedEqual => (arg.value_two, arg.value),
        _ => (arg.value, u64::MAX),
    };
    Some(Condition { index: arg.index, operator, value, mask })
}

fn flags(names: Option<&[String]>, notifies: bool, problems: &mut Vec<Problem>) -> u32 {
    let Some(names) = names else {
        return SPEC_ALLOW | if notifies { NEW_LISTENER } else { 0 };
    };
    let mut flags = if notifies { NEW_LISTENER } else { 0 };
    for (index, name) in names.iter().enumerate() {
        let at = || format!("linux.seccomp.flags[{index}]");
        match FLAGS.iter().find(|(known, _)| known == name) {
            // The process that loads the filter has one thread, so there is nothing to
            // synchronise; the kernel refuses the flag together with NEW_LISTENER.
            Some(&(_, TSYNC)) => {}
            Some(&(_, WAIT_KILLABLE_RECV)) if !notifies => {
                problems.push(Problem::new(at(), format!("{name} needs a SCMP_ACT_NOTIFY rule")));
            }
            Some(&(_, flag)) => flags |= flag,
            None => problems.push(Problem::new(at(), format!("unknown flag {name:?}"))),
        }
    }
    flags
}

fn listener<'a>(
    seccomp: &'a Seccomp,
    notifies: bool,
    problems: &mut Vec<Problem>,
) -> Option<Listener<'a>> {
    let path = seccomp.listener_path.as_str();
    let metadata = seccomp.listener_metadata.as_str();
    if path.is_empty() && !metadata.is_empty() {
        let what = "must not be set without listenerPath";
        problems.push(Problem::new("linux.seccomp.listenerMetadata", what));
    }
    // Without SCMP_ACT_NOTIFY "this value is ignored" (config-linux.md#seccomp).
    if !notifies {
        return None;
    }
    if path.is_empty() {
        let what = "is required with SCMP_ACT_NOTIFY";
        problems.push(Problem::new("linux.seccomp.listenerPath", what));
    }
    Some(Listener { path, metadata })
}

#[cfg(test)]
mod tests;
