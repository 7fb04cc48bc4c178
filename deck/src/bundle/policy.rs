//! The default system call policy: what Docker's default profile allows, as rules of our own.
//!
//! Everything not named gives EPERM. What containers never need, or need a capability for, is left
//! out: mounts, namespaces, modules, clocks, tracing of kernels, keyrings, io_uring.

/// One rule: calls, and when they are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Names of calls, apart by spaces.
    pub calls: &'static str,
    /// When the rule counts.
    pub when: When,
    /// What the arguments must be.
    pub arg: Option<Arg>,
    /// The errno instead of leave.
    pub errno: Option<u32>,
}

/// When a rule counts.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Always.
    Always,
    /// With one of the capabilities.
    With(&'static [&'static str]),
    /// Without the capability.
    Without(&'static str),
    /// On these architectures, in Go's words.
    On(&'static [&'static str]),
    /// Without the capability, on this architecture family or off it (s390).
    WithoutOn(&'static str, bool),
}

/// A condition on an argument.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Which argument.
    pub index: u32,
    /// The comparison, in libseccomp's words.
    pub op: &'static str,
    /// Compared with, or the mask.
    pub value: u64,
}

const fn always(calls: &'static str, arg: Option<Arg>) -> Rule {
    Rule { calls, when: When::Always, arg, errno: None }
}

const fn with(capabilities: &'static [&'static str], calls: &'static str) -> Rule {
    Rule { calls, when: When::With(capabilities), arg: None, errno: None }
}

const fn on(arches: &'static [&'static str], calls: &'static str) -> Rule {
    Rule { calls, when: When::On(arches), arg: None, errno: None }
}

const fn equal(value: u64) -> Arg {
    Arg { index: 0, op: "SCMP_CMP_EQ", value }
}

/// The flags of clone(2) that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID,
/// NEWNET.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
const fn no_namespaces(index: u32) -> Arg {
    Arg { index, op: "SCMP_CMP_MASKED_EQ", value: NEW_NAMESPACES }
}

/// Address families below AF_ALG, and above AF_VSOCK: neither of those two is namespaced.
const BELOW_ALG: Option<Arg> = Some(Arg { index: 0, op: "SCMP_CMP_LT", value: 38 });
const ABOVE_VSOCK: Option<Arg> = Some(Arg { index: 0, op: "SCMP_CMP_GT", value: 40 });

/// The policy.
pub const RULES: &[Rule] = &[
    always(CALLS, None),
    // Since Linux 4.8 ptrace can't get around the filter.
    always("process_vm_readv process_vm_writev ptrace", None),
    always("socket", BELOW_ALG),
    always("socket", Some(equal(39))),
    always("socket", ABOVE_VSOCK),
    // Linux, Linux32, and both without the readable mappings of old programs; the last one asks.
    always("personality", Some(equal(0x0))),
    always("personality", Some(equal(0x8))),
    always("personality", Some(equal(0x2_0000))),
    always("personality", Some(equal(0x2_0008))),
    always("personality", Some(equal(0xffff_ffff))),
    on(&["ppc64le"], "sync_file_range2 swapcontext"),
    on(
        &["arm", "arm64"],
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    on(&["amd64"], "arch_prctl"),
    on(&["amd64", "386"], "modify_ldt"),
    on(&["s390x"], "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    on(&["riscv64"], "riscv_flush_icache"),
    with(&["CAP_DAC_READ_SEARCH"], "open_by_handle_at"),
    with(
        &["CAP_SYS_ADMIN"],
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie \
         lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount \
         open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog \
         umount umount2 unshare",
    ),
    Rule {
        calls: "clone",
        when: When::WithoutOn("CAP_SYS_ADMIN", false),
        arg: Some(no_namespaces(0)),
        errno: None,
    },
    // s390 takes the flags second (clone(2)).
    Rule {
        calls: "clone",
        when: When::WithoutOn("CAP_SYS_ADMIN", true),
        arg: Some(no_namespaces(1)),
        errno: None,
    },
    // Its flags lie in memory a filter can't see; ENOSYS makes libc fall back to clone.
    Rule { calls: "clone3", when: When::Without("CAP_SYS_ADMIN"), arg: None, errno: Some(38) },
    with(&["CAP_SYS_BOOT"], "reboot"),
    with(&["CAP_SYS_CHROOT"], "chroot"),
    with(&["CAP_SYS_MODULE"], "delete_module init_module finit_module"),
    with(&["CAP_SYS_PACCT"], "acct"),
    with(
        &["CAP_SYS_PTRACE"],
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    with(&["CAP_SYS_RAWIO"], "iopl ioperm"),
    with(&["CAP_SYS_TIME"], "settimeofday stime clock_settime clock_settime64"),
    with(&["CAP_SYS_TTY_CONFIG"], "vhangup"),
    with(&["CAP_SYS_NICE"], "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    with(&["CAP_SYSLOG"], "syslog"),
    with(&["CAP_BPF"], "bpf"),
    with(&["CAP_PERFMON"], "perf_event_open"),
];

/// What every container may call.
const CALLS: &str = "\
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset \
chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 \
clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range \
connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl \
epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve \
execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate \
fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 \
fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 \
fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait \
futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents \
getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 \
getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid \
gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init \
inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents \
io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill \
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr \
link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr \
lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir \
mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify \
mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink \
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at \
nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 \
pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 \
prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read \
readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall \
riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo \
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr \
sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp \
select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg \
sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 \
setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority \
setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 \
setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget \
shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice \
stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs \
sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 \
ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes \
vfork vmsplice wait4 waitid waitpid write writev";
