//! Instructions of classic BPF (`struct sock_filter`), as seccomp(2) takes them.

use crate::sys::seccomp::INSN_SIZE;

/// Offset of `nr` in `struct seccomp_data`.
pub const NR: u32 = 0;
/// Offset of `arch` in `struct seccomp_data`.
pub const ARCH: u32 = 4;
/// Marks x32 system call numbers (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// `BPF_…`.
    pub code: u16,
    /// Instructions to skip when true.
    pub jt: u8,
    /// Instructions to skip when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// What a conditional jump compares the loaded word with its operand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Equal.
    Equal,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
    /// A bit in common.
    AnyBit,
}

impl Test {
    const ALL: [(Self, u32); 4] = [
        (Self::Equal, libc::BPF_JEQ),
        (Self::Greater, libc::BPF_JGT),
        (Self::AtLeast, libc::BPF_JGE),
        (Self::AnyBit, libc::BPF_JSET),
    ];

    /// The outcome.
    pub fn holds(self, word: u32, k: u32) -> bool {
        match self {
            Self::Equal => word == k,
            Self::Greater => word > k,
            Self::AtLeast => word >= k,
            Self::AnyBit => word & k != 0,
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "all opcodes are below 1 << 16")]
impl Insn {
    const fn new(code: u32, jt: u8, jf: u8, k: u32) -> Self {
        Self { code: code as u16, jt, jf, k }
    }

    /// Loads the word at `offset` of `struct seccomp_data`.
    pub const fn load(offset: u32) -> Self {
        Self::new(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
    }

    /// Is the word `k`?
    pub const fn jump_equal(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, k)
    }

    /// Ends the program.
    pub const fn ret(k: u32) -> Self {
        Self::new(libc::BPF_RET | libc::BPF_K, 0, 0, k)
    }

    /// Is the word greater than `k`?
    pub const fn jump_greater(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, jt, jf, k)
    }

    /// Is the word `k` or greater?
    pub const fn jump_at_least(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, jt, jf, k)
    }

    /// Has the word a bit of `k`?
    pub const fn jump_any_bit(k: u32, jt: u8, jf: u8) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, jt, jf, k)
    }

    /// Skips `k` instructions.
    pub const fn jump(k: u32) -> Self {
        Self::new(libc::BPF_JMP | libc::BPF_JA, 0, 0, k)
    }

    /// Loads a word of `struct seccomp_data`: its offset.
    pub fn as_load(self) -> Option<u32> {
        (self.code == Self::load(0).code).then_some(self.k)
    }

    /// Returns a constant: which.
    pub fn as_ret(self) -> Option<u32> {
        (self.code == Self::ret(0).code).then_some(self.k)
    }

    /// Compares with its operand: how.
    pub fn as_test(self) -> Option<Test> {
        let of = |test: u32| u32::from(self.code) == libc::BPF_JMP | test | libc::BPF_K;
        Test::ALL.into_iter().find(|(_, code)| of(*code)).map(|(test, _)| test)
    }

    /// Jumps without a condition.
    pub fn is_jump(self) -> bool {
        self.code == Self::jump(0).code
    }

    /// Jumps on a condition, whatever it is.
    pub fn is_conditional(self) -> bool {
        u32::from(self.code) & 0x07 == libc::BPF_JMP && !self.is_jump()
    }

    /// Where the program goes on after this instruction at `at`; twice the same place where there
    /// is no choice, nothing where it ends.
    pub fn next(self, at: usize) -> Option<[usize; 2]> {
        let code = u32::from(self.code);
        let skip = match code & 0x07 {
            libc::BPF_RET => return None,
            libc::BPF_JMP if self.is_jump() => [usize::try_from(self.k).ok()?; 2],
            libc::BPF_JMP => [self.jt.into(), self.jf.into()],
            _ => [0; 2],
        };
        Some(skip.map(|skip| at.saturating_add(1).saturating_add(skip)))
    }
}

/// The program as the kernel takes it.
pub fn encode(insns: &[Insn]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(insns.len() * INSN_SIZE);
    for insn in insns {
        bytes.extend(insn.code.to_ne_bytes());
        bytes.extend([insn.jt, insn.jf]);
        bytes.extend(insn.k.to_ne_bytes());
    }
    bytes
}

/// The instructions of a program.
pub fn decode(bpf: &[u8]) -> Vec<Insn> {
    let (insns, _) = bpf.as_chunks::<INSN_SIZE>();
    let insn = |&[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; INSN_SIZE]| Insn {
        code: u16::from_ne_bytes([c0, c1]),
        jt,
        jf,
        k: u32::from_ne_bytes([k0, k1, k2, k3]),
    };
    insns.iter().map(insn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_decoded_as_they_were_encoded() {
        let program =
            [Insn::load(4), Insn::jump_any_bit(1, 2, 3), Insn::jump(4096), Insn::ret(0x7fff_0000)];
        assert_eq!(decode(&encode(&program)), program);
    }

    #[test]
    fn kinds_and_ways() {
        assert_eq!(Insn::load(4).as_load(), Some(4));
        assert_eq!(Insn::ret(7).as_ret(), Some(7));
        assert_eq!(Insn::jump_greater(7, 1, 2).as_test(), Some(Test::Greater));
        assert_eq!(Insn::jump_at_least(7, 1, 2).as_test(), Some(Test::AtLeast));
        assert_eq!(Insn::jump(7).as_test(), None);
        assert!(Insn::jump(7).is_jump() && !Insn::jump(7).is_conditional());
        assert!(Insn::jump_equal(7, 1, 2).is_conditional() && !Insn::load(0).is_conditional());
        assert_eq!(Insn::jump(7).next(10), Some([18, 18]));
        assert_eq!(Insn::jump_equal(0, 1, 2).next(10), Some([12, 13]));
        assert_eq!(Insn::load(0).next(10), Some([11, 11]));
        assert_eq!(Insn::ret(0).next(10), None);
        assert!(Test::AtLeast.holds(7, 7) && !Test::Greater.holds(7, 7));
        assert!(Test::AnyBit.holds(5, 4) && !Test::AnyBit.holds(5, 2) && Test::Equal.holds(5, 5));
    }
}
