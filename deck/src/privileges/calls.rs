//! System calls that confined threads make, with those that C libraries make for them.

#![allow(clippy::wildcard_imports, reason = "names of the kernel, most of one family")]

use libc::*;

/// Allowed unless they make memory executable.
pub const MEMORY: [c_long; 2] = [SYS_mmap, SYS_mprotect];

/// Every thread's: memory, locks, time, its end.
pub const ANY: &[c_long] = &[
    SYS_brk,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_close,
    SYS_exit,
    SYS_exit_group,
    SYS_fcntl,
    SYS_fstat,
    SYS_futex,
    SYS_getpid,
    SYS_getrandom,
    SYS_gettid,
    SYS_lseek,
    SYS_madvise,
    SYS_mremap,
    SYS_munmap,
    SYS_nanosleep,
    SYS_newfstatat,
    SYS_openat,
    SYS_read,
    SYS_readv,
    SYS_restart_syscall,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sched_yield,
    SYS_set_robust_list,
    SYS_sigaltstack,
    SYS_statx,
    SYS_tgkill,
    SYS_write,
    SYS_writev,
];

/// Files, by path and by descriptor; waiting for what is open.
pub const FILES: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    SYS_chmod,
    SYS_copy_file_range,
    SYS_dup,
    SYS_dup3,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fadvise64,
    SYS_fallocate,
    SYS_fchmod,
    SYS_fchmodat,
    // fchmodat2, the same number everywhere, for which libc has no name on every system.
    452,
    SYS_fchown,
    SYS_fchownat,
    SYS_fdatasync,
    SYS_fgetxattr,
    SYS_flistxattr,
    SYS_flock,
    SYS_fremovexattr,
    SYS_fsetxattr,
    SYS_fstatfs,
    SYS_fsync,
    SYS_ftruncate,
    SYS_getcwd,
    SYS_getdents64,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_linkat,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_lremovexattr,
    SYS_lsetxattr,
    #[cfg(target_arch = "x86_64")]
    SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir,
    SYS_mkdirat,
    SYS_mknodat,
    #[cfg(target_arch = "x86_64")]
    SYS_open,
    SYS_openat2,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
    SYS_ppoll,
    SYS_pread64,
    SYS_preadv,
    SYS_pwrite64,
    SYS_pwritev,
    #[cfg(target_arch = "x86_64")]
    SYS_readlink,
    SYS_readlinkat,
    SYS_removexattr,
    #[cfg(target_arch = "x86_64")]
    SYS_rename,
    SYS_renameat,
    SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir,
    SYS_sendfile,
    SYS_setxattr,
    SYS_splice,
    #[cfg(target_arch = "x86_64")]
    SYS_stat,
    SYS_statfs,
    SYS_symlinkat,
    SYS_sync_file_range,
    SYS_syncfs,
    SYS_truncate,
    #[cfg(target_arch = "x86_64")]
    SYS_unlink,
    SYS_unlinkat,
    SYS_utimensat,
];

/// Sockets, and threads that answer on them. What clone3(2) is asked for lies in memory, out of a
/// filter's sight: a child would be as confined as its parent.
pub const ANSWERS: &[c_long] = &[
    SYS_accept,
    SYS_accept4,
    SYS_bind,
    SYS_clone,
    SYS_clone3,
    SYS_connect,
    #[cfg(target_arch = "x86_64")]
    SYS_dup2,
    SYS_dup3,
    SYS_getpeername,
    SYS_getsockname,
    SYS_getsockopt,
    SYS_inotify_add_watch,
    SYS_ioctl,
    SYS_listen,
    #[cfg(target_arch = "x86_64")]
    SYS_open,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
    SYS_ppoll,
    SYS_prctl,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_rseq,
    SYS_sched_getaffinity,
    SYS_sendmsg,
    SYS_sendto,
    SYS_setsockopt,
    SYS_shutdown,
    SYS_socket,
];
