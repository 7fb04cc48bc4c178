//! Device rules as an eBPF program for cgroup v2 (kernel documentation, admin-guide/cgroup-v2,
//! "Device controller"; `struct bpf_cgroup_dev_ctx` in linux/bpf.h).
//!
//! The program keeps the accesses that are still to be decided in a register and walks the rules
//! from the last to the first: an allowing rule strikes out its accesses, a denying one that has
//! any of them ends in refusal.

use super::devices::{ALL, Rule, Type, effective};
use crate::sys::bpf::Insn;

/// Opcodes, as linux/bpf.h composes them from class, operation and source.
mod op {
    /// `LDX | MEM | W`: 32 bits from memory.
    pub const LOAD_WORD: u8 = 0x61;
    /// `ALU64 | MOV | K`.
    pub const MOV_IMM: u8 = 0xb7;
    /// `ALU | MOV | K`: the upper half becomes zero.
    pub const MOV_IMM32: u8 = 0xb4;
    /// `ALU64 | MOV | X`.
    pub const MOV_REG: u8 = 0xbf;
    /// `ALU | AND | K`.
    pub const AND_IMM: u8 = 0x54;
    /// `ALU | RSH | K`.
    pub const SHIFT_RIGHT: u8 = 0x74;
    /// `JMP | JNE | K`.
    pub const JUMP_UNEQUAL: u8 = 0x55;
    /// `JMP | JEQ | K`.
    pub const JUMP_EQUAL: u8 = 0x15;
    /// `JMP | JNE | X`.
    pub const JUMP_UNEQUAL_REG: u8 = 0x5d;
    /// `JMP | EXIT`.
    pub const EXIT: u8 = 0x95;
}

/// Registers: the context comes in 1, the answer leaves in 0.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
fn type_number(typ: Type) -> i32 {
    match typ {
        Type::Block => 1,
        Type::Char => 2,
    }
}

/// The program that decides as [`super::devices::allows`] does.
pub fn compile(rules: &[Rule]) -> Vec<Insn> {
    let insn = |code, dst, src, off, imm| Insn::new(code, dst, src, off, imm);
    let mut program = vec![
        insn(op::LOAD_WORD, TYPE, CONTEXT, 0, 0),
        insn(op::MOV_REG, ACCESS, TYPE, 0, 0),
        insn(op::AND_IMM, TYPE, 0, 0, 0xffff),
        insn(op::SHIFT_RIGHT, ACCESS, 0, 0, 16),
        insn(op::LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        insn(op::LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in effective(rules).iter().rev() {
        if rule.is_total() {
            program.extend(answer(rule.allow));
            return program;
        }
        program.extend(block(rule));
    }
    program.extend(answer(false));
    program
}

/// The instructions that end with `allow`.
fn answer(allow: bool) -> [Insn; 2] {
    [Insn::new(op::MOV_IMM, ANSWER, 0, 0, i32::from(allow)), Insn::new(op::EXIT, 0, 0, 0, 0)]
}

/// The instructions of one rule; control falls out of their end if the rule does not decide.
fn block(rule: &Rule) -> Vec<Insn> {
    let access = i32::from(rule.access);
    let mut verdict = Vec::with_capacity(6);
    if rule.allow {
        let keep = i32::from(ALL & !rule.access);
        verdict.push(Insn::new(op::AND_IMM, ACCESS, 0, 0, keep));
        // Accesses are left over: the next rule.
        verdict.push(Insn::new(op::JUMP_UNEQUAL, ACCESS, 0, 2, 0));
        verdict.extend(answer(true));
    } else {
        verdict.push(Insn::new(op::MOV_REG, SCRATCH, ACCESS, 0, 0));
        verdict.push(Insn::new(op::AND_IMM, SCRATCH, 0, 0, access));
        verdict.push(Insn::new(op::JUMP_EQUAL, SCRATCH, 0, 2, 0));
        verdict.extend(answer(false));
    }
    let mut tests = Vec::with_capacity(verdict.len() + 5);
    let numbers = [(MAJOR, rule.major), (MINOR, rule.minor)];
    let mut conditions: Vec<(u8, u32)> =
        numbers.into_iter().filter_map(|(register, number)| Some((register, number?))).collect();
    if let Some(typ) = rule.typ {
        conditions.insert(0, (TYPE, type_number(typ).unsigned_abs()));
    }
    // Each condition jumps over all that follows it; lengths are counted from the end.
    let mut length = verdict.len();
    for &(register, number) in conditions.iter().rev() {
        tests.splice(0..0, condition(register, number, length));
        length = verdict.len() + tests.len();
    }
    tests.extend(verdict);
    tests
}

/// Jumps over `length` instructions unless `register` is `number`.
fn condition(register: u8, number: u32, length: usize) -> Vec<Insn> {
    let off = i16::try_from(length).unwrap_or(i16::MAX);
    match i32::try_from(number) {
        Ok(imm) => vec![Insn::new(op::JUMP_UNEQUAL, register, 0, off, imm)],
        // An immediate is sign-extended to the 64 bits of the comparison, while the register holds
        // 32 bits: build the number in a register.
        Err(_) => vec![
            Insn::new(op::MOV_IMM32, SCRATCH, 0, 0, i32::from_ne_bytes(number.to_ne_bytes())),
            Insn::new(op::JUMP_UNEQUAL_REG, register, SCRATCH, off, 0),
        ],
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
