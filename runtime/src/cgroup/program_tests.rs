use super::super::devices::{MKNOD, READ, WRITE, allows};
use super::*;

/// Runs `program` as the kernel does for an access; only the operations of linux/bpf.h that the
/// compiler uses, each read from the kernel's documentation (bpf/standardization/instruction-set).
fn run(program: &[Insn], typ: Type, major: u32, minor: u32, access: u8) -> bool {
    let context = [u32::from(access) << 16 | type_number(typ).unsigned_abs(), major, minor];
    let mut registers = [0_u64; 10];
    let mut next = 0_usize;
    for _ in 0..=program.len() {
        let insn = program[next];
        next += 1;
        let (dst, src) = (usize::from(insn.dst()), usize::from(insn.src()));
        // Immediates are sign-extended for 64-bit operations.
        let imm = u64::from_ne_bytes(i64::from(insn.imm).to_ne_bytes());
        let mut jump = false;
        match insn.code {
            0x61 => {
                assert_eq!(src, 1, "only the context is readable");
                registers[dst] = u64::from(context[usize::try_from(insn.off).unwrap() / 4]);
            }
            0xb7 => registers[dst] = imm,
            0xb4 => registers[dst] = imm & 0xffff_ffff,
            0xbf => registers[dst] = registers[src],
            0x54 => registers[dst] &= imm & 0xffff_ffff,
            0x74 => registers[dst] = (registers[dst] & 0xffff_ffff) >> insn.imm,
            0x55 => jump = registers[dst] != imm,
            0x15 => jump = registers[dst] == imm,
            0x5d => jump = registers[dst] != registers[src],
            0x95 => return registers[0] == 1,
            other => panic!("unknown operation {other:#x}"),
        }
        if jump {
            assert!(insn.off > 0, "loops are not allowed");
            next += usize::try_from(insn.off).unwrap();
        }
    }
    panic!("the program does not end");
}

fn agree(rules: &[Rule]) {
    let program = compile(rules);
    for typ in [Type::Char, Type::Block] {
        for (major, minor) in [(1, 3), (1, 4), (2, 3), (2, 4), (u32::MAX, u32::MAX)] {
            for access in 1..=ALL {
                assert_eq!(
                    run(&program, typ, major, minor, access),
                    allows(rules, typ, major, minor, access),
                    "{rules:?} {typ:?} {major}:{minor} {access}"
                );
            }
        }
    }
}

#[test]
fn no_rules_deny_all() {
    agree(&[]);
    assert!(!run(&compile(&[]), Type::Char, 1, 3, READ));
}

#[test]
fn every_short_list_is_decided_as_written() {
    let mut pool = Vec::new();
    for allow in [false, true] {
        for typ in [None, Some(Type::Char), Some(Type::Block)] {
            for (major, minor) in
                [(None, None), (Some(1), None), (None, Some(3)), (Some(1), Some(3))]
            {
                for access in [ALL, READ, WRITE | MKNOD] {
                    pool.push(Rule { allow, typ, major, minor, access });
                }
            }
        }
    }
    for first in &pool {
        agree(&[*first]);
        for second in &pool {
            agree(&[*first, *second]);
        }
    }
    // Three rules: each third of them is enough.
    for (index, first) in pool.iter().enumerate() {
        for second in &pool {
            agree(&[*first, *second, pool[(index * 7 + 5) % pool.len()]]);
        }
    }
}

#[test]
fn numbers_beyond_the_sign_bit() {
    let rule = |major, minor| Rule {
        allow: true,
        typ: None,
        major: Some(major),
        minor: Some(minor),
        access: READ,
    };
    agree(&[rule(u32::MAX, u32::MAX)]);
    agree(&[rule(1, u32::MAX), rule(u32::MAX, 3)]);
}

#[test]
fn nothing_before_a_rule_about_everything_is_compiled() {
    let rule = |allow, major| Rule { allow, typ: None, major, minor: None, access: ALL };
    let long = [rule(true, Some(1)), rule(true, Some(2)), rule(false, None)];
    assert_eq!(compile(&long), compile(&long[2..]));
}
