namespace Berth.Node.Linux;

/// <summary>
/// What programs in a sandbox may call: the list docker (moby) uses by default, restated, for a container without
/// capabilities beyond docker's. Everything not named is refused with EPERM; where it is tighter than docker's, the
/// reason stands beside it.
/// </summary>
public static class SeccompRules
{
    /// <summary>
    /// Highest number this list knows (file_setattr). Newer calls answer ENOSYS, not EPERM: C libraries probe for new
    /// calls and fall back on ENOSYS only.
    /// </summary>
    public const int HighestKnownCall = 469;

    /// <summary>
    /// Flags that make namespaces (linux/sched.h): all CLONE_NEW* but NEWTIME, which clone can't express.
    /// </summary>
    public const ulong NamespaceFlags = 0x7E02_0000;

    /// <summary>
    /// Unix, IPv4, IPv6, netlink and packet sockets, of which the last need a capability that no sandbox has. Docker
    /// allows all but AF_VSOCK; the others are large, seldom used parts of the kernel, loaded by asking for them.
    /// </summary>
    public static IReadOnlyList<uint> AllowedFamilies { get; } = [1, 2, 10, 16, 17];

    /// <summary>Calls allowed with any arguments.</summary>
    public static IReadOnlyList<string> Allowed { get; } =
        """
        accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
        clock_adjtime clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat
        dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate
        fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock
        fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv
        futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid
        getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
        getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
        io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule
        landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat
        llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create
        memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv
        msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
        pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
        preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev
        pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr
        removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
        rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
        sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
        sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg
        sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid
        setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat
        shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx
        symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
        timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill
        truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
        """.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    /// <summary>
    /// Domains personality(2) may choose: Linux, 16-bit uids, 32-bit addresses of either, and "only ask".
    /// </summary>
    public static IReadOnlyList<uint> AllowedPersonalities { get; } = [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF];

    /// <summary>x86_64 numbers of allowed calls that libseccomp 2.5 has no names for (asm/unistd_64.h).</summary>
    public static IReadOnlyDictionary<string, int> NewCalls { get; } = new Dictionary<string, int>
    {
        ["cachestat"] = 451,
        ["fchmodat2"] = 452,
        ["map_shadow_stack"] = 453,
        ["futex_wake"] = 454,
        ["futex_wait"] = 455,
        ["futex_requeue"] = 456,
        ["mseal"] = 462,
        ["setxattrat"] = 463,
        ["getxattrat"] = 464,
        ["listxattrat"] = 465,
        ["removexattrat"] = 466,
    };
}
