//! Runs a seccomp program as the kernel's classic BPF machine does (kernel/seccomp.c,
//! `seccomp_check_filter`: the instructions a filter may have).

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub struct Data {
    pub nr: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

impl Data {
    fn word(self, offset: u32) -> u32 {
        let mut bytes = Vec::new();
        bytes.extend(self.nr.to_ne_bytes());
        bytes.extend(self.arch.to_ne_bytes());
        bytes.extend(0_u64.to_ne_bytes());
        for arg in self.args {
            bytes.extend(arg.to_ne_bytes());
        }
        let offset = offset as usize;
        u32::from_ne_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }
}

/// The filter's answer; panics where the kernel would refuse the program.
pub fn run(bpf: &[u8], data: Data) -> u32 {
    let (mut pc, mut a, mut x, mut memory) = (0, 0_u32, 0_u32, [0_u32; 16]);
    loop {
        let insn = &bpf[pc * 8..][..8];
        let code = u32::from(u16::from_ne_bytes([insn[0], insn[1]]));
        let (jt, jf) = (usize::from(insn[2]), usize::from(insn[3]));
        let k = u32::from_ne_bytes(insn[4..].try_into().unwrap());
        pc += 1;
        let operand = if code & 0x08 == libc::BPF_X { x } else { k };
        match code & 0x07 {
            libc::BPF_LD => match code & 0xe0 {
                libc::BPF_ABS => a = data.word(k),
                libc::BPF_IMM => a = k,
                libc::BPF_MEM => a = memory[k as usize],
                _ => panic!("ld {code:#x}"),
            },
            libc::BPF_LDX => x = if code & 0xe0 == libc::BPF_MEM { memory[k as usize] } else { k },
            libc::BPF_ST => memory[k as usize] = a,
            libc::BPF_STX => memory[k as usize] = x,
            libc::BPF_ALU if code & 0xf0 == libc::BPF_AND => a &= operand,
            libc::BPF_JMP => {
                let truth = match code & 0xf0 {
                    libc::BPF_JA => {
                        pc += k as usize;
                        continue;
                    }
                    libc::BPF_JEQ => a == operand,
                    libc::BPF_JGT => a > operand,
                    libc::BPF_JGE => a >= operand,
                    libc::BPF_JSET => a & operand != 0,
                    _ => panic!("jump {code:#x}"),
                };
                pc += if truth { jt } else { jf };
            }
            libc::BPF_RET if code & 0x18 == libc::BPF_A => return a,
            libc::BPF_RET => return k,
            libc::BPF_MISC if code & 0xf8 == libc::BPF_TXA => a = x,
            libc::BPF_MISC => x = a,
            _ => panic!("code {code:#x}"),
        }
    }
}
