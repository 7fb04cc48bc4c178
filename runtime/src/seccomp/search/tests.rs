//! Made programs beside those they are made from, in the interpreter.

use super::super::compile;
use super::super::insn::{decode, encode};
use super::super::interpreter::{Data, run};
use super::super::tests::large;
use super::*;
use crate::plan::seccomp::{ARCHITECTURES, plan};
use crate::spec::linux::Seccomp;
use libseccomp::ScmpSyscall;
use std::fmt::Write as _;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: Insn = Insn::ret(libc::SECCOMP_RET_ALLOW);
const KILL: Insn = Insn::ret(libc::SECCOMP_RET_KILL_THREAD);

/// libseccomp's program of a profile, before anything is done to it.
fn original(json: &str) -> Vec<Insn> {
    let seccomp: Seccomp = serde_json::from_str(json).unwrap();
    decode(&compile::original(&plan(&seccomp).unwrap(), &mut |_| {}).unwrap())
}

/// Both programs on every architecture, at and beside every number either of them compares with,
/// and with arguments at and beside those.
fn differ(old: &[Insn], new: &[Insn], args: &[u64]) -> Option<Data> {
    let (before, after) = (encode(old), encode(new));
    let mut numbers = cuts(&[old, new]);
    numbers.extend(numbers.clone().into_iter().map(|number| number.wrapping_sub(1)));
    let archs = ARCHITECTURES.iter().map(|arch| arch.audit).chain([0, 1, u32::MAX]);
    for (arch, nr) in archs.flat_map(|arch| numbers.iter().map(move |nr| (arch, *nr))) {
        let data = |args| Data { nr, arch, args };
        let none = data([0; 6]);
        if run(&before, none) != run(&after, none) {
            return Some(none);
        }
        // Arguments only matter where they are looked at.
        if !matches!(reach(old, arch, nr, &mut BTreeSet::new()), Some(Point::At(_))) {
            continue;
        }
        for (index, arg) in (0..6).flat_map(|index| args.iter().map(move |arg| (index, *arg))) {
            let mut all = [0; 6];
            all[index] = arg;
            for args in [all, [arg; 6]] {
                if run(&before, data(args)) != run(&after, data(args)) {
                    return Some(data(args));
                }
            }
        }
    }
    None
}

/// Numbers that look random and are the same each time (a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.throw(from.len())]
    }
}

const VALUES: [u64; 8] = [0, 1, 8, 0x1000_0000, 0xffff_ffff, 1 << 32, 0x1_0000_0008, u64::MAX];

/// A profile of some rules for some system calls.
fn random_profile(dice: &mut Dice) -> String {
    let actions = ["ALLOW", "ERRNO", "KILL_PROCESS", "TRAP", "LOG", "TRACE"];
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let archs = ["X86_64", "X86", "X32", "AARCH64", "ARM", "RISCV64"];
    let default = dice.pick(&actions);
    let archs: Vec<String> = archs[..=dice.throw(archs.len())]
        .iter()
        .map(|arch| format!("\"SCMP_ARCH_{arch}\""))
        .collect();
    let mut rules = Vec::new();
    for _ in 0..dice.throw(8) {
        let first = dice.throw(400);
        let step = 1 + dice.throw(3);
        let count = 1 + dice.throw(if step == 1 { 200 } else { 20 });
        let names: Vec<String> = (0..count)
            .filter_map(|nth| i32::try_from(first + nth * step).ok())
            .filter_map(|nr| ScmpSyscall::from_raw_syscall(nr).get_name().ok())
            .map(|name| format!("{name:?}"))
            .collect();
        let mut args = String::new();
        for index in 0..dice.throw(3) {
            let value = VALUES[dice.throw(VALUES.len())];
            let operator = dice.pick(&operators);
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                args,
                r#"{comma}{{"index": {index}, "value": {value}, "valueTwo": {},
                    "op": "SCMP_CMP_{operator}"}}"#,
                value & 8
            );
        }
        rules.push(format!(
            r#"{{"names": [{}], "action": "SCMP_ACT_{}", "args": [{args}]}}"#,
            names.join(","),
            dice.pick(&actions)
        ));
    }
    format!(
        r#"{{"defaultAction": "SCMP_ACT_{default}", "architectures": [{}], "syscalls": [{}]}}"#,
        archs.join(","),
        rules.join(",")
    )
}

#[test]
fn random_profiles_mean_what_they_meant() {
    let mut dice = Dice(7);
    let args: Vec<u64> = VALUES
        .iter()
        .flat_map(|value| [value.wrapping_sub(1), *value, value.wrapping_add(1)])
        .collect();
    let mut made = 0;
    for round in 0..60 {
        let json = random_profile(&mut dice);
        // Rules that contradict each other are refused by libseccomp.
        let seccomp: Seccomp = serde_json::from_str(&json).unwrap();
        let Ok(old) = plan(&seccomp)
            .map_err(|_| ())
            .and_then(|plan| compile::original(&plan, &mut |_| {}).map_err(|_| ()))
        else {
            continue;
        };
        let old = decode(&old);
        let Some(new) = faster(&old, X86_64) else { continue };
        made += 1;
        assert_eq!(
            differ(&old, &new, &args).map(|d| (d.arch, d.nr, d.args)),
            None,
            "{round} {json}"
        );
    }
    assert!(made > 20, "{made}");
}

/// The one in the configuration as Docker writes it.
fn docker() -> String {
    let config = include_str!("../../../tests/data/docker.json");
    let config: serde_json::Value = serde_json::from_str(config).unwrap();
    config["linux"]["seccomp"].to_string()
}

#[test]
fn large_profiles() {
    let args = [0, 8, 100, 101, 21522, 0x20000, 0x20008, 0xffff_ffff, 0x7e02_0000, 1 << 32];
    for json in [large(), docker()] {
        let old = original(&json);
        let new = faster(&old, X86_64).unwrap();
        assert_eq!(differ(&old, &new, &args).map(|data| (data.arch, data.nr, data.args)), None);
        // The way to each number is short: that is what the kernel goes for each of them.
        let longest = |program: &[Insn]| (0..500).map(|nr| steps(program, X86_64, nr)).max();
        assert!(longest(&new) < Some(16), "{:?} of {:?}", longest(&new), longest(&old));
        // What is made of the made one is no longer.
        assert!(faster(&new, X86_64).is_none_or(|again| again.len() <= new.len()));
    }
    let old = original(&large());
    let new = faster(&old, X86_64).unwrap();
    assert!(new.len() * 4 < old.len() * 3, "{} of {}", new.len(), old.len());
}

/// How many instructions come before the point.
fn steps(program: &[Insn], arch: u32, nr: u32) -> usize {
    let (mut at, mut word, mut steps) = (0, 0, 0);
    loop {
        let insn = program[at];
        steps += 1;
        let Some([yes, no]) = insn.next(at) else { return steps };
        match insn.as_load() {
            Some(NR) => word = nr,
            Some(ARCH) => word = arch,
            Some(_) => return steps,
            None => {}
        }
        let holds = insn.as_test().is_none_or(|test| test.holds(word, insn.k));
        at = if holds { yes } else { no };
    }
}

#[test]
fn any_change_of_a_made_program_is_found() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
        {"names": ["read", "write", "close", "mmap", "exit"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["personality"], "action": "SCMP_ACT_TRAP",
         "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#;
    let old = original(json);
    let made = |old: &[Insn]| {
        let decisions = decisions(old, &cuts(&[old])).unwrap();
        build::program(old, &decisions, X86_64).unwrap()
    };
    let new = made(&old);
    assert!(same(&old, &new));
    let args = [0, 7, 8, 9, 1 << 32, 0x1_0000_0008];
    let mut found = 0;
    for place in 0..new.insns.len() {
        for change in [
            |insn: &mut Insn| insn.k ^= 1,
            |insn: &mut Insn| insn.k ^= 1 << 30,
            |insn: &mut Insn| insn.k = insn.k.wrapping_add(1),
            |insn: &mut Insn| insn.jt ^= 1,
            |insn: &mut Insn| insn.jf ^= 1,
            |insn: &mut Insn| std::mem::swap(&mut insn.jt, &mut insn.jf),
            |insn: &mut Insn| insn.code ^= 0x10,
        ] {
            let mut bad = new.clone();
            change(&mut bad.insns[place]);
            if bad.insns == new.insns {
                continue;
            }
            if same(&old, &bad) {
                // It may be that nothing has changed: an unused distance, a number between others.
                assert_eq!(differ(&old, &bad.insns, &args).map(|data| data.nr), None, "{place}");
            } else {
                found += 1;
            }
        }
    }
    assert!(found > new.insns.len(), "{found} of {}", new.insns.len());
    // Another profile's program.
    for (word, other) in
        [("write", "writev"), (r#"8, "op": "SCMP_CMP_EQ""#, r#"9, "op": "SCMP_CMP_EQ""#)]
    {
        assert!(json.contains(word));
        assert!(!same(&original(&json.replace(word, other)), &new), "{word}");
    }
}

#[test]
fn small_programs() {
    // Nothing to search.
    assert_eq!(faster(&[ALLOW], X86_64), Some(vec![ALLOW]));
    assert_eq!(faster(&[Insn::load(ARCH), ALLOW], X86_64), Some(vec![ALLOW]));
    // Only arguments count.
    let argument = [Insn::load(16), Insn::jump_equal(7, 0, 1), ALLOW, KILL];
    assert_eq!(faster(&argument, X86_64), Some(argument.to_vec()));
    // Only the number counts.
    let number = [Insn::load(NR), Insn::jump_at_least(7, 0, 1), ALLOW, KILL];
    assert_eq!(differ(&number, &faster(&number, X86_64).unwrap(), &[]).map(|data| data.nr), None);
    // An architecture that decides like the others is no architecture.
    let arch = [Insn::load(ARCH), Insn::jump_equal(I386, 1, 0), ALLOW, ALLOW];
    assert_eq!(faster(&arch, X86_64), Some(vec![ALLOW]));
}

#[test]
fn far_jumps() {
    // Every second number has a value of its own, on two architectures that differ in one: more than
    // a jump reaches.
    let mut old = vec![
        Insn::load(ARCH),
        Insn::jump_equal(I386, 0, 3),
        Insn::load(NR),
        Insn::jump_equal(5, 0, 1),
        Insn::ret(0x5_0fff),
        Insn::load(NR),
    ];
    for nr in 0..400 {
        old.extend([Insn::jump_equal(nr * 2, 0, 1), Insn::ret(0x5_0000 | nr)]);
    }
    old.extend([Insn::load(16), Insn::jump_equal(9, 0, 1), KILL, ALLOW]);
    let decisions = decisions(&old, &cuts(&[&old])).unwrap();
    let new = build::program(&old, &decisions, X86_64).unwrap();
    assert!(same(&old, &new));
    assert_eq!(differ(&old, &new.insns, &[8, 9]).map(|data| data.nr), None);
}

#[test]
fn what_is_not_understood_stays() {
    let tail = [ALLOW, KILL];
    for head in [
        // Compares before anything is loaded.
        &[Insn::jump_equal(1, 0, 1)][..],
        // Another bit than x32's, and an architecture that is not compared for equality.
        &[Insn::load(NR), Insn::jump_any_bit(4, 0, 1)],
        &[Insn::load(ARCH), Insn::jump_greater(4, 0, 1)],
        // Arithmetic on the number.
        &[Insn::load(NR), Insn { code: 0x54, jt: 0, jf: 0, k: 1 }, Insn::jump_equal(1, 0, 1)],
        // A jump out of the program.
        &[Insn::load(NR), Insn::jump_equal(1, 200, 0)],
        &[Insn::load(NR), Insn::jump(u32::MAX)],
    ] {
        assert_eq!(faster(&[head, &tail].concat(), X86_64), None, "{head:?}");
    }
    assert_eq!(faster(&[], X86_64), None);
    assert_eq!(faster(&[Insn::load(NR)], X86_64), None);
    assert_eq!(faster(&[Insn::load(16)], X86_64), None);
}
