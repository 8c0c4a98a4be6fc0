namespace Berth.IntegrationTests.Containment;

/// <summary>
/// What each attack of attacks.c must come to in a default sandbox. The page docs/internals/containment.md is made of
/// these tables. A line is the name, the outcome with what other kernels answer, and a remark.
/// </summary>
internal static class SystemCallAttacks
{
    /// <summary>The outcome of an attack that got what it wanted.</summary>
    public const string Done = "done";

    public static IReadOnlyList<AttackGroup> All { get; } =
    [
        new(
            "Namespaces", "Make a namespace, in which more would be allowed, or enter another.",
            """
            unshare-user                   EPERM
            unshare-mount                  EPERM
            unshare-pid                    EPERM
            unshare-net                    EPERM
            unshare-ipc                    EPERM
            unshare-uts                    EPERM
            unshare-cgroup                 EPERM
            unshare-time                   EPERM
            clone-user                     EPERM
            clone-mount                    EPERM
            clone-pid                      EPERM
            clone-net                      EPERM
            clone-high-bits                EPERM
            clone3-user                    ENOSYS  its flags lie in memory; libraries use clone then
            clone3-plain                   ENOSYS
            setns-own-mount                EPERM
            setns-init-user                EACCES  the init can't be looked into
            setns-pidfd                    EPERM
            """),
        new(
            "Mounts", "Change what is mounted where, or the disk behind it.",
            """
            mount-tmpfs                    EPERM
            mount-proc                     EPERM
            mount-cgroup                   EPERM
            mount-bind                     EPERM
            mount-remount-writable         EPERM
            mount-shared                   EPERM
            umount-proc                    EPERM
            umount-masked                  EPERM
            fsopen                         EPERM
            fsconfig                       EPERM
            fsmount                        EPERM
            fspick                         EPERM
            move_mount                     EPERM
            open_tree                      EPERM
            open_tree_attr                 EPERM
            mount_setattr                  EPERM
            statmount                      EPERM
            pivot_root                     EPERM
            chroot                         EPERM
            quotactl                       EPERM
            quotactl_fd                    EPERM
            swapon                         EPERM
            swapoff                        EPERM
            acct                           EPERM
            """),
        new(
            "Files and devices",
            "Reach files past the root, get devices or rights through files, disturb the init.",
            """
            open_by_handle_at              EPERM
            name_to_handle_at              EOPNOTSUPP|done  harmless: a name for a file, to open it is refused
            mknod-memory                   EPERM
            mknod-disk                     EPERM
            mknod-null                     EPERM
            fanotify_init                  EPERM
            file-capability                EPERM
            trusted-attribute              EPERM
            setuid-program                 nothing  no new privileges: the bit is ignored
            init-program-write             EACCES
            init-program-remove            EBUSY|EROFS  a mount; within a container of many, in a folder nobody writes
            init-program-replace           EXDEV
            inherited-descriptors          nothing  none beyond the three streams and the progress pipe
            terminal-input                 ENOTTY  a sandbox has no terminal unless asked
            terminal-console               ENOTTY
            """),
        new(
            "The kernel", "Load code, change the machine, use what has been a way in before.",
            """
            init_module                    EPERM
            finit_module                   EPERM
            delete_module                  EPERM
            kexec_load                     EPERM
            kexec_file_load                EPERM
            reboot                         EPERM
            syslog                         EPERM
            sethostname                    EPERM
            setdomainname                  EPERM
            settimeofday                   EPERM
            clock_settime                  EPERM
            adjtimex                       EPERM
            clock_adjtime                  EPERM
            iopl                           EPERM
            ioperm                         EPERM
            vhangup                        EPERM
            bpf                            EPERM
            perf_event_open                EPERM
            io_uring_setup                 EPERM
            io_uring_enter                 EPERM
            io_uring_register              EPERM
            userfaultfd                    EPERM
            userfaultfd-user-mode          EPERM
            add_key                        EPERM
            request_key                    EPERM
            keyctl-join                    EPERM
            keyctl-read                    EPERM
            lookup_dcookie                 EPERM
            nfsservctl                     EPERM
            uselib                         EPERM
            sysctl                         EPERM
            sysfs                          EPERM
            modify_ldt                     done|ENOSYS  harmless: segments of its own memory, for emulators
            memfd_secret                   done|ENOSYS  harmless: memory the kernel does not map, charged to the sandbox
            set_mempolicy                  EPERM
            mbind                          EPERM
            move_pages                     EPERM
            migrate_pages                  EPERM
            lsm_set_self_attr              EPERM
            personality-no-randomize       EPERM
            personality-read-implies-exec  EPERM
            compat-entry                   SIGSYS  32-bit calls end the process
            x32-entry                      SIGSYS
            unknown-call                   ENOSYS  newer than the list: libraries fall back
            """),
        new(
            "Processes and rights", "Reach the init, get more rights, loosen the filter.",
            """
            ptrace-init                    EPERM
            ptrace-seize-init              EPERM
            read-memory-of-init            EPERM
            write-memory-of-init           EPERM
            descriptor-of-init             EPERM
            kcmp                           EPERM
            process_madvise                EPERM
            kill-init                      nothing  the kernel drops what comes from inside
            signal-init-by-handle          nothing
            limit-of-init                  EPERM
            limit-of-a-thread-of-init      nothing
            raise-own-limit                EPERM
            real-time-priority             EPERM
            higher-priority                EACCES
            real-time-io                   EPERM
            capset-everything              EPERM  beyond the bounding set
            ambient-capability             EPERM
            drop-no-new-privileges         EINVAL
            move-own-memory-map            EPERM
            loosen-filter                  EPERM  filters add up
            trace-own-child                done  harmless: debuggers; the filter is asked about the traced call too
            rewrite-call-of-child          nothing  the rewritten call meets the filter
            """),
        new(
            "Sockets", "Rare families of sockets, raw packets, the network's set-up.",
            """
            socket-alg                     EPERM
            socket-alg-high-bits           EPERM
            socket-vsock                   EPERM
            socket-packet                  EPERM
            socket-packet-datagram         EPERM
            socket-raw-icmp                EPERM
            socket-raw-tcp                 EPERM
            socket-raw-ipv6                EPERM
            socket-key                     EPERM
            socket-rds                     EPERM
            socket-llc                     EPERM
            socket-can                     EPERM
            socket-tipc                    EPERM
            socket-bluetooth               EPERM
            socket-rxrpc                   EPERM
            socket-kcm                     EPERM
            socket-smc                     EPERM
            socket-xdp                     EPERM
            socketpair-alg                 EAFNOSUPPORT
            link-down                      EPERM
            netfilter-rules                EPERM
            """),
        new(
            "The kernel's files", "Read and write what /proc, /sys and /dev offer.",
            """
            write-core-pattern             EACCES
            write-modprobe                 ENOENT
            write-ip-forward               EACCES
            write-drop-caches              EACCES
            write-hostname                 EACCES
            write-binfmt                   ENOENT
            write-sysrq                    ENOENT
            write-irq-affinity             EACCES
            write-uid-map                  EPERM
            write-oom-score                EACCES
            write-memory-of-init-file      EACCES
            write-uevent-helper            ENOENT
            write-uevent                   EROFS
            write-module-parameter         EROFS
            write-power-state              EROFS
            write-release-agent            ENOENT
            write-cgroup-limit             ENOENT
            read-kcore                     ENOENT
            read-keys                      nothing|ENOENT|EACCES  masked
            read-timer-list                nothing|ENOENT|EACCES  masked
            read-kmsg                      EACCES
            read-dev-kmsg                  ENOENT
            read-scsi                      ENOENT
            read-environ-of-init           EACCES
            read-root-of-init              EACCES
            read-cwd-of-init               EACCES
            read-descriptors-of-init       EACCES
            read-firmware                  ENOENT
            read-kernel-addresses          nothing|ENOENT  only zeros
            debugfs                        ENOENT
            open-memory-device             ENOENT
            open-disk                      ENOENT
            open-kvm                       ENOENT
            open-fuse                      ENOENT
            open-loop-control              ENOENT
            open-tun                       ENOENT
            open-userfaultfd-device        ENOENT
            """,
            AnyRefusal: true),
    ];
}
