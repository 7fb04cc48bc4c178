//! Filters against a model of what the profile says, instruction by instruction.

use super::interpreter::{Data, run};
use super::*;
use crate::plan::seccomp::{ARCHITECTURES, Arch, Condition, Operator, Rule, plan};
use crate::spec::linux::Seccomp;
use libseccomp::ScmpSyscall;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_THREAD;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

pub(super) fn profile(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

fn arch(name: &str) -> &'static Arch {
    ARCHITECTURES.iter().find(|arch| arch.name == name).unwrap()
}

fn compile(seccomp: &Seccomp) -> Vec<u8> {
    compile::compile(&plan(seccomp).unwrap(), &mut |_| {}).unwrap()
}

/// The filter's answer to the call `name` or, if it has none, number.
fn answer(bpf: &[u8], arch: &Arch, name: &str, args: &[u64]) -> u32 {
    let nr = name.parse().unwrap_or_else(|_| {
        let syscall = ScmpSyscall::from_name_by_arch(name, arch.scmp).unwrap();
        u32::try_from(syscall.as_raw_syscall()).unwrap()
    });
    let mut data = Data { nr, arch: arch.audit, args: [0; 6] };
    data.args[..args.len()].copy_from_slice(args);
    run(bpf, data)
}

const SMALL: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"],
    "syscalls": [
        {"names": ["read", "write", "exit", "openat2", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["ftruncate"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_GE"},
                  {"index": 1, "value": 7, "op": "SCMP_CMP_NE"}]},
        {"names": ["dup3"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                  {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}
    ]
}"#;

#[test]
fn a_small_profile() {
    let bpf = compile(&profile(SMALL));
    let x86_64 = arch("SCMP_ARCH_X86_64");
    let check = |name: &str, args: &[u64], expected: u32| {
        let got = answer(&bpf, x86_64, name, args);
        assert_eq!(got, expected, "{name}{args:?}: {got:#x}");
    };
    check("read", &[1, 2, 3], ALLOW);
    check("mkdir", &[], EPERM);
    check("mount", &[], EPERM);
    check("clone3", &[], ENOSYS);
    check("reboot", &[], libc::SECCOMP_RET_KILL_PROCESS);
    check("personality", &[8], ALLOW);
    check("personality", &[8 | 1 << 32], EPERM);
    check("personality", &[0], EPERM);
    check("clone", &[0x1200_0011 & !0x7e02_0000], ALLOW);
    check("clone", &[0x1000_0000], EPERM);
    check("ftruncate", &[5, 8], ALLOW);
    check("ftruncate", &[u64::MAX, 8], ALLOW);
    check("ftruncate", &[4, 8], EPERM);
    check("ftruncate", &[5, 7], EPERM);
    // Two conditions on one argument: either suffices.
    check("dup3", &[1], ALLOW);
    check("dup3", &[3], ALLOW);
    check("dup3", &[2], EPERM);
    // openat2 (437) is the newest call the profile names: pidfd_getfd is 438, close_range 436.
    check("pidfd_getfd", &[], ENOSYS);
    check("close_range", &[], EPERM);
    check("1000", &[], ENOSYS);
}

#[test]
fn every_architecture_has_its_own_horizon() {
    let bpf = compile(&profile(SMALL));
    let x86 = arch("SCMP_ARCH_X86");
    assert_eq!(answer(&bpf, x86, "read", &[]), ALLOW);
    assert_eq!(answer(&bpf, x86, "mount", &[]), EPERM);
    assert_eq!(answer(&bpf, x86, "1000", &[]), ENOSYS);
    // The kernel's architecture of x32 is that of x86-64, with a bit in the number.
    let x32 = arch("SCMP_ARCH_X32");
    assert_eq!(answer(&bpf, x32, "read", &[]), ALLOW);
    assert_eq!(answer(&bpf, x32, "mount", &[]), EPERM);
    assert_eq!(answer(&bpf, x32, &(0x4000_0000 + 1000).to_string(), &[]), ENOSYS);
    let aarch64 = arch("SCMP_ARCH_AARCH64");
    assert_eq!(answer(&bpf, aarch64, "read", &[]), ALLOW);
    assert_eq!(answer(&bpf, aarch64, "mount", &[]), EPERM);
    assert_eq!(answer(&bpf, aarch64, "1000", &[]), ENOSYS);
    // Architectures the profile does not have are killed.
    assert_eq!(answer(&bpf, arch("SCMP_ARCH_RISCV64"), "read", &[]), KILL);
    assert_eq!(answer(&bpf, arch("SCMP_ARCH_RISCV64"), "1000", &[]), KILL);
}

#[test]
fn calls_of_an_absent_x32_are_killed_not_missing() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["write"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let bpf = compile(&profile(json));
    let x86_64 = arch("SCMP_ARCH_X86_64");
    assert_eq!(answer(&bpf, x86_64, "2", &[]), ENOSYS);
    assert_eq!(answer(&bpf, x86_64, &0x4000_0001_u32.to_string(), &[]), KILL);
}

#[test]
fn enosys_only_where_the_default_denies() {
    let with = |default: &str| {
        let json = format!(
            r#"{{"defaultAction": "{default}",
                "syscalls": [{{"names": ["write"], "action": "SCMP_ACT_KILL_PROCESS"}}]}}"#
        );
        answer(&compile(&profile(&json)), arch("SCMP_ARCH_X86_64"), "1000", &[])
    };
    assert_eq!(with("SCMP_ACT_ALLOW"), ALLOW);
    assert_eq!(with("SCMP_ACT_LOG"), libc::SECCOMP_RET_LOG);
    assert_eq!(with("SCMP_ACT_TRACE"), libc::SECCOMP_RET_TRACE | 1);
    assert_eq!(with("SCMP_ACT_ERRNO"), ENOSYS);
    assert_eq!(with("SCMP_ACT_TRAP"), ENOSYS);
    assert_eq!(with("SCMP_ACT_KILL"), ENOSYS);
}

#[test]
fn rules_of_the_default_action_still_count_for_the_horizon() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let bpf = compile(&profile(json));
    let x86_64 = arch("SCMP_ARCH_X86_64");
    assert_eq!(answer(&bpf, x86_64, "mount", &[]), EPERM);
    assert_eq!(answer(&bpf, x86_64, "umount2", &[]), ENOSYS);
}

#[test]
fn unknown_names_are_told_and_ignored() {
    let seccomp = profile(SMALL);
    let mut unknown = Vec::new();
    compile::compile(&plan(&seccomp).unwrap(), &mut |name| unknown.push(name.to_owned())).unwrap();
    assert_eq!(unknown, ["no_such_call"]);
}

/// A profile of the size and shape of Docker's: everything but some, some with conditions.
pub(super) fn large() -> String {
    let denied = ["mount", "umount2", "reboot", "kexec_load", "bpf", "ptrace", "swapon", "clone3"];
    let special = ["personality", "clone", "ioctl", "prctl"];
    let names: Vec<String> = (0..440)
        .filter_map(|nr| ScmpSyscall::from_raw_syscall(nr).get_name().ok())
        .filter(|name| !denied.contains(&name.as_str()) && !special.contains(&name.as_str()))
        .map(|name| format!("{name:?}"))
        .collect();
    assert!(names.len() > 300, "{}", names.len());
    let mut rules = vec![format!(
        r#"{{"names": [{}, "mmap2", "stat64", "fcntl64"], "action": "SCMP_ACT_ALLOW"}}"#,
        names.join(",")
    )];
    for value in [0, 8, 0x20000, 0x20008, 0xffff_ffff_u64] {
        rules.push(format!(
            r#"{{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                "args": [{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
        ));
    }
    rules.push(
        r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
           {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_NE"},
                     {"index": 2, "value": 4294967296, "op": "SCMP_CMP_LT"}]},
           {"names": ["prctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22,
            "args": [{"index": 0, "value": 100, "op": "SCMP_CMP_GT"}]},
           {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}"#
            .to_owned(),
    );
    format!(
        r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{}]}}"#,
        rules.join(",")
    )
}

/// `width` has the bits of an argument.
fn holds(condition: &Condition, args: &[u64; 6], width: u64) -> bool {
    let (arg, value) = (args[condition.index as usize] & width, condition.value & width);
    match condition.operator {
        Operator::NotEqual => arg != value,
        Operator::Less => arg < value,
        Operator::LessOrEqual => arg <= value,
        Operator::Equal => arg == value,
        Operator::GreaterOrEqual => arg >= value,
        Operator::Greater => arg > value,
        Operator::MaskedEqual => arg & condition.mask == value,
    }
}

/// What the plan says of a call the profile knows.
fn model(plan: &FilterPlan, name: Option<&str>, args: &[u64; 6], width: u64) -> u32 {
    let matches = |rule: &&Rule| {
        rule.names.iter().any(|n| Some(n) == name)
            && rule.conditions.iter().all(|condition| holds(condition, args, width))
    };
    plan.rules.iter().find(matches).map_or(plan.default, |rule| rule.action).ret()
}

#[test]
fn a_large_profile_does_what_it_says() {
    let seccomp = profile(&large());
    let plan = plan(&seccomp).unwrap();
    let bpf = compile(&seccomp);
    let samples = [0, 8, 100, 101, 0x20008, 21522, 0x1000_0000, 0xffff_ffff, 1 << 32, u64::MAX];
    for (name, base) in
        [("SCMP_ARCH_X86_64", 0), ("SCMP_ARCH_X86", 0), ("SCMP_ARCH_X32", 0x4000_0000)]
    {
        let arch = arch(name);
        // libseccomp compares 32 bits on x32 as well, though its arguments have 64.
        let width = if name == "SCMP_ARCH_X86_64" { u64::MAX } else { 0xffff_ffff };
        let last = enosys::horizons(&plan).iter().find(|h| h.arch == arch).unwrap().last;
        for nr in base..base + 600 {
            // i386 reaches sockets and System V IPC by socketcall(2) and ipc(2) as well, for which
            // libseccomp makes rules of its own.
            if name == "SCMP_ARCH_X86"
                && matches!(nr, 102 | 117 | 337 | 345 | 359..=373 | 393..=402)
            {
                continue;
            }
            let raw = ScmpSyscall::from_raw_syscall(i32::try_from(nr).unwrap());
            let syscall = raw.get_name_by_arch(arch.scmp).ok();
            for first in samples {
                for second in [0, 21522, 1 << 32] {
                    let args = [first, second, second, 0, 0, 0];
                    let got = run(&bpf, Data { nr, arch: arch.audit, args });
                    let expected = if nr > last {
                        ENOSYS
                    } else {
                        model(&plan, syscall.as_deref(), &args, width)
                    };
                    assert_eq!(got, expected, "{name} {nr} {syscall:?} {args:x?}: {got:#x}");
                }
            }
        }
    }
}

#[test]
fn the_stub_for_s390_denies_setup() {
    let bpf = enosys::stub(
        Action::Errno(1),
        &[enosys::Horizon { arch: arch("SCMP_ARCH_S390X"), last: 400 }],
    );
    let bpf = [bpf, insn::encode(&[insn::Insn::ret(ALLOW)])].concat();
    let s390x = arch("SCMP_ARCH_S390X");
    for (nr, expected) in [("0", ENOSYS), ("1", ALLOW), ("400", ALLOW), ("401", ENOSYS)] {
        assert_eq!(answer(&bpf, s390x, nr, &[]), expected, "{nr}");
    }
    assert_eq!(answer(&bpf, arch("SCMP_ARCH_X86"), "0", &[]), ALLOW);
}

#[test]
fn an_architecture_of_other_byte_order_is_an_error() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}"#;
    let seccomp = profile(json);
    let error = compile::compile(&plan(&seccomp).unwrap(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().starts_with("adding SCMP_ARCH_S390X with libseccomp 2."), "{error}");
}

#[test]
fn filters_survive_storage() {
    let seccomp = profile(SMALL);
    let filter = filter(None, &plan(&seccomp).unwrap(), &mut |_| {}).unwrap();
    assert_eq!(filter.flags(), crate::sys::seccomp::SPEC_ALLOW);
    assert!(!filter.notifies());
    let bytes = filter.to_bytes();
    assert_eq!(Filter::from_bytes(&bytes).unwrap(), filter);
    for bad in [&bytes[..bytes.len() - 1], &bytes[..12], &bytes[..3], &bytes[1..], b""] {
        assert!(Filter::from_bytes(bad).is_err());
    }
}
