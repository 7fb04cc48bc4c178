//! bpf(2): loading, attaching, detaching and listing programs of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
#![allow(unsafe_code, reason = "libc has no wrapper for bpf(2)")]

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// The kernel attaches at most this many programs to one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;

/// One eBPF instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Destination register in the lower half, source register in the upper (little endian).
    registers: u8,
    /// Offset.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

impl Insn {
    /// An instruction.
    pub const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        // The two are bit fields in C, which fill a byte from the end the byte order says.
        let registers =
            if cfg!(target_endian = "little") { src << 4 | dst } else { dst << 4 | src };
        Self { code, registers, off, imm }
    }

    /// Destination register.
    pub const fn dst(&self) -> u8 {
        if cfg!(target_endian = "little") { self.registers & 15 } else { self.registers >> 4 }
    }

    /// Source register.
    pub const fn src(&self) -> u8 {
        if cfg!(target_endian = "little") { self.registers >> 4 } else { self.registers & 15 }
    }
}

/// The member of `union bpf_attr` for `BPF_PROG_LOAD`, up to `prog_flags`.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The member of `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The member of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The member of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct IdAttr {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// One bpf(2) call.
///
/// # Safety
/// `attr` must be the part of `union bpf_attr` that `cmd` reads, without padding, and what it
/// points to must be valid for the call.
unsafe fn bpf<T>(cmd: libc::c_int, attr: &mut T) -> Result<RawFd, Errno> {
    // SAFETY: the kernel reads and writes at most size_of::<T>() bytes at `attr`; the rest is the
    // caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, cmd, std::ptr::from_mut(attr), size_of::<T>()) };
    Errno::result(result).map(|fd| RawFd::try_from(fd).unwrap_or(-1))
}

/// A file descriptor as the kernel's attributes carry it.
fn number(fd: BorrowedFd<'_>) -> u32 {
    // An open descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

/// A pointer as the kernel's attributes carry it.
fn address<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}

/// Loads a device program; the kernel's verifier checks it. The descriptor is close-on-exec, as
/// the kernel makes all of bpf(2).
pub fn load_device_program(program: &[Insn]) -> Result<OwnedFd, Errno> {
    let count = u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let mut attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: count,
        insns: address(program.as_ptr()),
        license: address(c"Apache-2.0".as_ptr()),
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: the attributes are those of this command, and the slice and the string outlive the
    // call.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attr) }?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches `program` to the cgroup `dir`, beside other programs, or in the place of `replace` in
/// one step (since Linux 5.6).
pub fn attach_device_program(
    dir: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replace: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut attr = AttachAttr {
        target_fd: number(dir),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI | if replace.is_some() { BPF_F_REPLACE } else { 0 },
        replace_bpf_fd: replace.map_or(0, number),
    };
    // SAFETY: the attributes are those of this command; there are no pointers.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Detaches `program` from the cgroup `dir`.
pub fn detach_device_program(dir: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attr = AttachAttr {
        target_fd: number(dir),
        attach_bpf_fd: number(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: the attributes are those of this command; there are no pointers.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr) }.map(drop)
}

/// The ids of the device programs attached to the cgroup `dir` itself.
pub fn device_program_ids(dir: BorrowedFd<'_>) -> Result<Vec<u32>, Errno> {
    let mut ids = vec![0_u32; MAX_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: number(dir),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: u32::try_from(MAX_PROGRAMS).unwrap_or(0),
        padding: 0,
    };
    // SAFETY: the attributes are those of this command, and the kernel writes at most prog_cnt
    // numbers to the vector, which has that many.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// A descriptor of the program `id`.
pub fn program_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attr = IdAttr { prog_id: id, next_id: 0, open_flags: 0 };
    // SAFETY: the attributes are those of this command; there are no pointers.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr) }?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
