//! The programs that containers run here: as small as programs can be, so that what is measured is
//! the runtime.

/// A static ELF executable that exits with status 0.
pub fn exits() -> Vec<u8> {
    elf(EXIT)
}

/// A static ELF executable that waits for signals for ever.
pub fn waits() -> Vec<u8> {
    elf(WAIT)
}

/// `exit(0)`.
#[cfg(target_arch = "x86_64")]
const EXIT: &[u8] = &[
    0xb8, 60, 0, 0, 0, // mov eax, SYS_exit
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
];

/// `for (;;) pause();`
#[cfg(target_arch = "x86_64")]
const WAIT: &[u8] = &[
    0xb8, 34, 0, 0, 0, // mov eax, SYS_pause
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the start
];

/// `exit(0)`.
#[cfg(target_arch = "aarch64")]
const EXIT: &[u8] = &[
    0xa8, 0x0b, 0x80, 0xd2, // mov x8, SYS_exit
    0x00, 0x00, 0x80, 0xd2, // mov x0, 0
    0x01, 0x00, 0x00, 0xd4, // svc 0
];

/// `for (;;) ppoll(0, 0, 0, 0, 0);`
#[cfg(target_arch = "aarch64")]
const WAIT: &[u8] = &[
    0x28, 0x09, 0x80, 0xd2, // mov x8, SYS_ppoll
    0x00, 0x00, 0x80, 0xd2, // mov x0, 0
    0x01, 0x00, 0x80, 0xd2, // mov x1, 0
    0x02, 0x00, 0x80, 0xd2, // mov x2, 0
    0x03, 0x00, 0x80, 0xd2, // mov x3, 0
    0x04, 0x00, 0x80, 0xd2, // mov x4, 0
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0xf9, 0xff, 0xff, 0x17, // b to the start
];

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// One loaded segment that holds the headers and the code (elf(5)).
fn elf(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2, MACHINE] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    for half in [1u32, 5] {
        file.extend(half.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_kernel_runs_it() {
        let _turn = crate::measure::CHILDREN.lock();
        let path = std::env::temp_dir().join(format!("hull-bench-exit-{}", std::process::id()));
        std::fs::write(&path, exits()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let status = std::process::Command::new(&path).status();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(status.unwrap().code(), Some(0));
    }
}
