// Tries, one after the other, what a program in a sandbox must not be able to do, and writes a line "name<TAB>outcome"
// for each: "done" when it could be done, "nothing" when the call succeeded but changed nothing, the name of the error
// otherwise, or the signal that ended it. What each should be stands in SystemCallAttacks.cs.
// Each attack runs in a child of its own, with the raw system call: no library may soften it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTHING (-4096L)
#define SECONDS 10

#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef SYS_lsm_set_self_attr
#define SYS_lsm_set_self_attr 460
#endif

static int report[2];

static void finish(long result) {
  char text[64];
  if (result == NOTHING) snprintf(text, sizeof text, "nothing");
  else if (result >= 0) snprintf(text, sizeof text, "done");
  else snprintf(text, sizeof text, "%s", strerrorname_np(errno));
  // Descriptor numbers an attack may have closed are no reason to be silent.
  if (write(report[1], text, strlen(text)) < 0) _exit(3);
  _exit(0);
}

// True in a new child, which tries and calls finish; in the parent it has waited, told, and is false.
static int begin(const char *name) {
  if (pipe(report) < 0) exit(2);
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) exit(2);
  if (child == 0) {
    alarm(SECONDS);
    return 1;
  }
  close(report[1]);
  char text[64] = "";
  ssize_t length = 0, count;
  while (length < 63 && (count = read(report[0], text + length, 63 - length)) > 0) length += count;
  text[length] = 0;
  close(report[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status)) snprintf(text, sizeof text, "SIG%s", sigabbrev_np(WTERMSIG(status)));
  printf("%s\t%s\n", name, text);
  fflush(stdout);
  return 0;
}

#define A(name, ...) do { if (begin(name)) { errno = 0; finish((long)(__VA_ARGS__)); } } while (0)
#define CALL(...) syscall(__VA_ARGS__)

static long writes(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  return write(file, text, strlen(text));
}

// Done when there is something to read, other than zeros.
static long reads(const char *path) {
  char block[256];
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t count = read(file, block, sizeof block);
  return count > 0 ? count : count == 0 ? NOTHING : -1;
}

static long clones(unsigned long flags) {
  long child = CALL(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  return child;
}

static long clones3(unsigned long flags) {
  uint64_t arguments[11] = {flags, 0, 0, 0, SIGCHLD};
  long child = CALL(SYS_clone3, arguments, sizeof arguments);
  if (child == 0) _exit(0);
  return child;
}

static long enters(const char *path) {
  int space = open(path, O_RDONLY | O_CLOEXEC);
  return space < 0 ? -1 : CALL(SYS_setns, space, 0);
}

static void namespaces(void) {
  A("unshare-user", CALL(SYS_unshare, CLONE_NEWUSER));
  A("unshare-mount", CALL(SYS_unshare, CLONE_NEWNS));
  A("unshare-pid", CALL(SYS_unshare, CLONE_NEWPID));
  A("unshare-net", CALL(SYS_unshare, CLONE_NEWNET));
  A("unshare-ipc", CALL(SYS_unshare, CLONE_NEWIPC));
  A("unshare-uts", CALL(SYS_unshare, CLONE_NEWUTS));
  A("unshare-cgroup", CALL(SYS_unshare, CLONE_NEWCGROUP));
  A("unshare-time", CALL(SYS_unshare, 0x80));
  A("clone-user", clones(CLONE_NEWUSER));
  A("clone-mount", clones(CLONE_NEWNS));
  A("clone-pid", clones(CLONE_NEWPID));
  A("clone-net", clones(CLONE_NEWNET));
  A("clone-high-bits", clones(CLONE_NEWUSER | 0xFF00000000000000UL));
  A("clone3-user", clones3(CLONE_NEWUSER));
  A("clone3-plain", clones3(0));
  A("setns-own-mount", enters("/proc/self/ns/mnt"));
  A("setns-init-user", enters("/proc/1/ns/user"));
  A("setns-pidfd", ({ int init = CALL(SYS_pidfd_open, 1, 0); CALL(SYS_setns, init, CLONE_NEWNS); }));
}

static void mounts(void) {
  A("mount-tmpfs", CALL(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
  A("mount-proc", CALL(SYS_mount, "none", "/tmp", "proc", 0, 0));
  A("mount-cgroup", CALL(SYS_mount, "none", "/tmp", "cgroup", 0, "memory"));
  A("mount-bind", CALL(SYS_mount, "/", "/tmp", 0, 0x1000, 0));
  A("mount-remount-writable", CALL(SYS_mount, "none", "/proc/sys", 0, 0x1020, 0));
  A("mount-shared", CALL(SYS_mount, "none", "/", 0, 0x104000, 0));
  A("umount-proc", CALL(SYS_umount2, "/proc", 2));
  A("umount-masked", CALL(SYS_umount2, "/proc/kcore", 2));
  A("fsopen", CALL(SYS_fsopen, "tmpfs", 0));
  A("fsconfig", CALL(SYS_fsconfig, 0, 6, 0, 0, 0));
  A("fsmount", CALL(SYS_fsmount, 0, 0, 0));
  A("fspick", CALL(SYS_fspick, AT_FDCWD, "/", 0));
  A("move_mount", CALL(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
  A("open_tree", CALL(SYS_open_tree, AT_FDCWD, "/", 1));
  A("open_tree_attr", CALL(SYS_open_tree_attr, AT_FDCWD, "/", 1, 0, 0));
  A("mount_setattr", ({ uint64_t set[4] = {0, 1}; CALL(SYS_mount_setattr, AT_FDCWD, "/proc/sys", 0, set, 32); }));
  A("statmount", CALL(SYS_statmount, 0, 0, 0, 0));
  A("pivot_root", CALL(SYS_pivot_root, "/", "/tmp"));
  A("chroot", CALL(SYS_chroot, "/tmp"));
  A("quotactl", CALL(SYS_quotactl, 0x80000100, 0, 0, 0));
  A("quotactl_fd", CALL(SYS_quotactl_fd, 0, 0x80000100, 0, 0));
  A("swapon", CALL(SYS_swapon, "/tmp/swap", 0));
  A("swapoff", CALL(SYS_swapoff, "/tmp/swap"));
  A("acct", CALL(SYS_acct, "/tmp/acct"));
}

struct handle { unsigned size; int type; char bytes[128]; };

static void files(void) {
  A("open_by_handle_at", ({ struct handle h = {8, 1, {2}}; CALL(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY); }));
  A("name_to_handle_at", ({ struct handle h = {128, 0, {0}}; int id;
    CALL(SYS_name_to_handle_at, AT_FDCWD, "/", &h, &id, 0); }));
  A("mknod-memory", CALL(SYS_mknod, "/tmp/mem", S_IFCHR | 0600, 0x101));
  A("mknod-disk", CALL(SYS_mknodat, AT_FDCWD, "/tmp/disk", S_IFBLK | 0600, 0xfe00));
  A("mknod-null", CALL(SYS_mknod, "/tmp/null", S_IFCHR | 0600, 0x103));
  A("fanotify_init", CALL(SYS_fanotify_init, 0, 0));
  A("file-capability", ({
    int file = open("/tmp/capable", O_CREAT | O_WRONLY, 0755);
    uint32_t value[5] = {0x02000001, 0xffffffff, 0, 0xffffffff, 0};
    CALL(SYS_fsetxattr, file, "security.capability", value, sizeof value, 0); }));
  A("trusted-attribute", CALL(SYS_setxattr, "/tmp", "trusted.overlay.opaque", "y", 1, 0));
  A("setuid-program", ({
    long result = -1;
    int copy = open("/tmp/setuid", O_CREAT | O_WRONLY, 0755), self = open("/proc/self/exe", O_RDONLY);
    char block[65536];
    ssize_t count;
    while ((count = read(self, block, sizeof block)) > 0 && write(copy, block, count) == count) {}
    fchown(copy, 0, 0);
    fchmod(copy, 04755);
    close(copy);
    pid_t child = fork();
    if (child == 0) {
      if (geteuid() == 0 && setresuid(1000, 1000, 1000) < 0) _exit(9);
      execl("/tmp/setuid", "setuid", "euid", NULL);
      _exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    result = WEXITSTATUS(status) == 0 ? 0 : NOTHING;
    result; }));
  A("init-program-write", writes("/dev/.berth-init", "x"));
  A("init-program-remove", CALL(SYS_unlink, "/dev/.berth-init"));
  A("init-program-replace", CALL(SYS_rename, "/proc/self/exe", "/dev/.berth-init"));
  A("inherited-descriptors", ({
    long result = NOTHING;
    for (int i = 5; i < 1024; i++) if (i != report[0] && i != report[1] && fcntl(i, F_GETFD) >= 0) result = i;
    // The progress pipe and, while the program is the first, nothing else beyond its three streams.
    for (int i = 4; i < 5; i++) {
      struct stat about;
      if (i != report[0] && i != report[1] && fstat(i, &about) == 0 && S_ISSOCK(about.st_mode)) result = i;
    }
    result; }));
  A("terminal-input", ioctl(0, 0x5412, "x"));
  A("terminal-console", ioctl(0, 0x541D, 0));
}

static void kernel(void) {
  A("init_module", CALL(SYS_init_module, "", 0, ""));
  A("finit_module", CALL(SYS_finit_module, 0, "", 0));
  A("delete_module", CALL(SYS_delete_module, "loop", 0));
  A("kexec_load", CALL(SYS_kexec_load, 0, 0, 0, 0));
  A("kexec_file_load", CALL(SYS_kexec_file_load, 0, 0, 0, 0, 0));
  A("reboot", CALL(SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef, 0));
  A("syslog", ({ char text[64]; CALL(SYS_syslog, 3, text, 64); }));
  A("sethostname", CALL(SYS_sethostname, "x", 1));
  A("setdomainname", CALL(SYS_setdomainname, "x", 1));
  A("settimeofday", ({ long value[2] = {1, 0}; CALL(SYS_settimeofday, value, 0); }));
  A("clock_settime", ({ long value[2] = {1, 0}; CALL(SYS_clock_settime, 0, value); }));
  A("adjtimex", ({ struct timex t = {.modes = ADJ_OFFSET}; CALL(SYS_adjtimex, &t); }));
  A("clock_adjtime", ({ struct timex t = {.modes = ADJ_FREQUENCY}; CALL(SYS_clock_adjtime, 0, &t); }));
  A("iopl", CALL(SYS_iopl, 3));
  A("ioperm", CALL(SYS_ioperm, 0x70, 2, 1));
  A("vhangup", CALL(SYS_vhangup));
  A("bpf", ({ uint64_t a[16] = {2, 4, 4, 1}; CALL(SYS_bpf, 0, a, sizeof a); }));
  A("perf_event_open", ({ uint64_t a[16] = {(uint64_t)128 << 32}; CALL(SYS_perf_event_open, a, 0, -1, -1, 0); }));
  A("io_uring_setup", ({ uint64_t p[32] = {0}; CALL(SYS_io_uring_setup, 4, p); }));
  A("io_uring_enter", CALL(SYS_io_uring_enter, 0, 0, 0, 0, 0, 0));
  A("io_uring_register", CALL(SYS_io_uring_register, 0, 0, 0, 0));
  A("userfaultfd", CALL(SYS_userfaultfd, 0));
  A("userfaultfd-user-mode", CALL(SYS_userfaultfd, 1));
  A("add_key", CALL(SYS_add_key, "user", "x", "y", 1, -3));
  A("request_key", CALL(SYS_request_key, "user", "x", 0, -3));
  A("keyctl-join", CALL(SYS_keyctl, 1, 0, 0, 0, 0));
  A("keyctl-read", CALL(SYS_keyctl, 11, -3, 0, 0, 0));
  A("lookup_dcookie", CALL(SYS_lookup_dcookie, 0, 0, 0));
  A("nfsservctl", CALL(SYS_nfsservctl, 0, 0, 0));
  A("uselib", CALL(SYS_uselib, "/bin/sh"));
  A("sysctl", CALL(SYS__sysctl, 0));
  A("sysfs", CALL(SYS_sysfs, 3));
  A("modify_ldt", ({ char table[64]; CALL(SYS_modify_ldt, 0, table, sizeof table); }));
  A("memfd_secret", CALL(SYS_memfd_secret, 0));
  A("set_mempolicy", CALL(SYS_set_mempolicy, 0, 0, 0));
  A("mbind", CALL(SYS_mbind, 0, 0, 0, 0, 0, 0));
  A("move_pages", CALL(SYS_move_pages, 1, 0, 0, 0, 0, 0));
  A("migrate_pages", CALL(SYS_migrate_pages, 1, 0, 0, 0));
  A("lsm_set_self_attr", CALL(SYS_lsm_set_self_attr, 100, 0, 0, 0));
  A("personality-no-randomize", CALL(SYS_personality, 0x0040000));
  A("personality-read-implies-exec", CALL(SYS_personality, 0x0400000));
  A("compat-entry", ({ long r = 20; __asm__ volatile("int $0x80" : "+a"(r) :: "memory"); r; }));
  A("x32-entry", CALL(0x40000000 | SYS_getpid));
  A("unknown-call", CALL(999));
}

static void processes(void) {
  A("ptrace-init", CALL(SYS_ptrace, PTRACE_ATTACH, 1, 0, 0));
  A("ptrace-seize-init", CALL(SYS_ptrace, PTRACE_SEIZE, 1, 0, 0));
  A("read-memory-of-init", ({ char x; struct iovec a = {&x, 1}, b = {(void *)0x400000, 1};
    CALL(SYS_process_vm_readv, 1, &a, 1, &b, 1, 0); }));
  A("write-memory-of-init", ({ char x = 0; struct iovec a = {&x, 1}, b = {(void *)0x400000, 1};
    CALL(SYS_process_vm_writev, 1, &a, 1, &b, 1, 0); }));
  A("descriptor-of-init", ({ int init = CALL(SYS_pidfd_open, 1, 0); CALL(SYS_pidfd_getfd, init, 3, 0); }));
  A("kcmp", CALL(SYS_kcmp, getpid(), 1, 2, 0, 0));
  A("process_madvise", ({ int init = CALL(SYS_pidfd_open, 1, 0); CALL(SYS_process_madvise, init, 0, 0, 0, 0); }));
  A("kill-init", ({ kill(1, SIGKILL); kill(1, SIGTERM); kill(1, SIGSTOP); usleep(100000);
    char c, text[512] = ""; int f = open("/proc/1/stat", O_RDONLY); (void)c;
    f >= 0 && read(f, text, 511) > 0 && !strstr(text, ") T") ? NOTHING : 0; }));
  A("signal-init-by-handle", ({ int init = CALL(SYS_pidfd_open, 1, 0);
    CALL(SYS_pidfd_send_signal, init, SIGKILL, 0, 0); usleep(100000); access("/proc/1", F_OK) == 0 ? NOTHING : 0; }));
  A("limit-of-init", ({ struct rlimit l = {4, 4}; CALL(SYS_prlimit64, 1, RLIMIT_NOFILE, &l, 0); }));
  // A thread's limits are its process's, and root in the sandbox has the init's user id.
  A("limit-of-a-thread-of-init", ({
    char text[4096] = "";
    for (int thread = 2; thread < 64; thread++) {
      struct rlimit l = {7, 7};
      if (thread != getpid() && thread != getppid()) CALL(SYS_prlimit64, thread, RLIMIT_NOFILE, &l, 0);
    }
    int f = open("/proc/1/limits", O_RDONLY);
    f >= 0 && read(f, text, 4095) > 0 && strstr(text, "open files            7 ") == 0 ? NOTHING : 0; }));
  A("raise-own-limit", ({ struct rlimit l = {1 << 30, 1 << 30}; CALL(SYS_prlimit64, 0, RLIMIT_NOFILE, &l, 0); }));
  A("real-time-priority", ({ int p = 50; CALL(SYS_sched_setscheduler, 0, 1, &p); }));
  A("higher-priority", CALL(SYS_setpriority, 0, 0, -20));
  A("real-time-io", CALL(SYS_ioprio_set, 1, 0, 1 << 13));
  A("capset-everything", ({
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{~0u, ~0u, ~0u}, {~0u, ~0u, ~0u}};
    CALL(SYS_capset, &h, d); }));
  A("ambient-capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
  A("drop-no-new-privileges", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  A("move-own-memory-map", prctl(PR_SET_MM, PR_SET_MM_START_CODE, 0x1000, 0, 0));
  A("loosen-filter", ({
    struct sock_filter all[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog program = {1, all};
    CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    CALL(SYS_mount, "none", "/tmp", "tmpfs", 0, 0); }));
  A("trace-own-child", ({
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    long result = CALL(SYS_ptrace, PTRACE_SEIZE, child, 0, 0);
    int why = errno; kill(child, SIGKILL); errno = why; result; }));
  // A tracer may rewrite the call a child makes, after the filter was asked in old kernels.
  A("rewrite-call-of-child", ({
    long result = -1;
    pid_t child = fork();
    if (child == 0) {
      ptrace(PTRACE_TRACEME, 0, 0, 0);
      raise(SIGSTOP);
      _exit(CALL(SYS_getppid, "none", "/tmp", "tmpfs", 0, 0) == 0 ? 7 : 8);
    }
    int status;
    waitpid(child, &status, 0);
    for (int i = 0; i < 50 && WIFSTOPPED(status); i++) {
      long number = ptrace(PTRACE_PEEKUSER, child, (void *)(15 * 8), 0);
      if (number == SYS_getppid) ptrace(PTRACE_POKEUSER, child, (void *)(15 * 8), (void *)SYS_mount);
      ptrace(PTRACE_SYSCALL, child, 0, 0);
      if (waitpid(child, &status, 0) < 0) break;
    }
    result = WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : NOTHING;
    kill(child, SIGKILL);
    result; }));
}

static long sockets(int family, int type, int protocol) { return CALL(SYS_socket, family, type, protocol); }

static void network(void) {
  A("socket-alg", sockets(38, SOCK_SEQPACKET, 0));
  A("socket-alg-high-bits", CALL(SYS_socket, 0x100000000UL | 38, (long)SOCK_SEQPACKET, 0L));
  A("socket-vsock", sockets(40, SOCK_STREAM, 0));
  A("socket-packet", sockets(AF_PACKET, SOCK_RAW, 0x0300));
  A("socket-packet-datagram", sockets(AF_PACKET, SOCK_DGRAM, 0));
  A("socket-raw-icmp", sockets(AF_INET, SOCK_RAW, 1));
  A("socket-raw-tcp", sockets(AF_INET, SOCK_RAW, 6));
  A("socket-raw-ipv6", sockets(AF_INET6, SOCK_RAW, 58));
  A("socket-key", sockets(15, SOCK_RAW, 2));
  A("socket-rds", sockets(21, SOCK_SEQPACKET, 0));
  A("socket-llc", sockets(26, SOCK_DGRAM, 0));
  A("socket-can", sockets(29, SOCK_RAW, 1));
  A("socket-tipc", sockets(30, SOCK_RDM, 0));
  A("socket-bluetooth", sockets(31, SOCK_RAW, 1));
  A("socket-rxrpc", sockets(33, SOCK_DGRAM, AF_INET));
  A("socket-kcm", sockets(41, SOCK_DGRAM, 0));
  A("socket-smc", sockets(43, SOCK_STREAM, 0));
  A("socket-xdp", sockets(44, SOCK_RAW, 0));
  A("socketpair-alg", ({ int two[2]; CALL(SYS_socketpair, 38, SOCK_SEQPACKET, 0, two); }));
  A("link-down", ({
    int s = sockets(AF_INET, SOCK_DGRAM, 0);
    char request[40] = "lo";
    CALL(SYS_ioctl, s, 0x8914, request); }));
  A("netfilter-rules", ({
    // NFNL batch begin, new table of nf_tables, batch end: without CAP_NET_ADMIN the first is answered EPERM.
    int s = sockets(AF_NETLINK, SOCK_RAW, 12);
    uint32_t message[5] = {20, 0x00010010, 1, 0, 0x0a000000};
    if (s >= 0 && send(s, message, 20, 0) == 20) {
      uint32_t answer[64] = {0};
      ssize_t count = recv(s, answer, sizeof answer, 0);
      if (count >= 20) errno = -(int)answer[4];
    }
    errno == 0 ? 0 : -1; }));
}

static void kernel_files(void) {
  A("write-core-pattern", writes("/proc/sys/kernel/core_pattern", "|/bin/sh"));
  A("write-modprobe", writes("/proc/sys/kernel/modprobe", "/bin/sh"));
  A("write-ip-forward", writes("/proc/sys/net/ipv4/ip_forward", "1"));
  A("write-drop-caches", writes("/proc/sys/vm/drop_caches", "3"));
  A("write-hostname", writes("/proc/sys/kernel/hostname", "x"));
  A("write-binfmt", writes("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/bin/sh:"));
  A("write-sysrq", writes("/proc/sysrq-trigger", "h"));
  A("write-irq-affinity", writes("/proc/irq/default_smp_affinity", "1"));
  A("write-uid-map", writes("/proc/self/uid_map", "0 0 1"));
  A("write-oom-score", writes("/proc/self/oom_score_adj", "-1000"));
  A("write-memory-of-init-file", writes("/proc/1/mem", "x"));
  A("write-uevent-helper", writes("/sys/kernel/uevent_helper", "/bin/sh"));
  A("write-uevent", writes("/sys/class/net/lo/uevent", "change"));
  A("write-module-parameter", writes("/sys/module/kernel/parameters/panic", "1"));
  A("write-power-state", writes("/sys/power/state", "mem"));
  A("write-release-agent", writes("/sys/fs/cgroup/release_agent", "/bin/sh"));
  A("write-cgroup-limit", writes("/sys/fs/cgroup/memory.max", "max"));
  A("read-kcore", reads("/proc/kcore"));
  A("read-keys", reads("/proc/keys"));
  A("read-timer-list", reads("/proc/timer_list"));
  A("read-kmsg", reads("/proc/kmsg"));
  A("read-dev-kmsg", reads("/dev/kmsg"));
  A("read-scsi", reads("/proc/scsi/scsi"));
  A("read-environ-of-init", reads("/proc/1/environ"));
  A("read-root-of-init", CALL(SYS_open, "/proc/1/root/etc", O_RDONLY));
  A("read-cwd-of-init", CALL(SYS_open, "/proc/1/cwd", O_RDONLY));
  A("read-descriptors-of-init", CALL(SYS_open, "/proc/1/fd/3", O_RDONLY));
  A("read-firmware", reads("/sys/firmware/acpi/tables/DSDT"));
  A("read-kernel-addresses", ({
    char text[17] = ""; int f = open("/proc/kallsyms", O_RDONLY);
    f < 0 ? -1 : read(f, text, 16) < 16 || strspn(text, "0") == 16 ? NOTHING : 0; }));
  A("debugfs", CALL(SYS_open, "/sys/kernel/debug/tracing/trace_on", O_WRONLY));
  A("open-memory-device", CALL(SYS_open, "/dev/mem", O_RDWR));
  A("open-disk", CALL(SYS_open, "/dev/vda", O_RDONLY));
  A("open-kvm", CALL(SYS_open, "/dev/kvm", O_RDWR));
  A("open-fuse", CALL(SYS_open, "/dev/fuse", O_RDWR));
  A("open-loop-control", CALL(SYS_open, "/dev/loop-control", O_RDWR));
  A("open-tun", CALL(SYS_open, "/dev/net/tun", O_RDWR));
  A("open-userfaultfd-device", CALL(SYS_open, "/dev/userfaultfd", O_RDWR));
}

// The greedy ones: each takes something until it is refused, and writes why. "name count error".
static int tell(const char *name, long count) {
  printf("%s %ld %s\n", name, count, strerrorname_np(errno));
  return 0;
}

static void *idle(void *nothing) {
  pause();
  return nothing;
}

static int take(const char *what) {
  long count = 0;
  if (!strcmp(what, "descriptors")) while (open("/", O_RDONLY | O_DIRECTORY) >= 0) count++;
  if (!strcmp(what, "children")) {
    pid_t child;
    while ((child = fork()) > 0) count++;
    if (child == 0) _exit(0);
  }
  if (!strcmp(what, "threads")) {
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while ((errno = pthread_create(&thread, &small, idle, 0)) == 0) count++;
  }
  if (!strcmp(what, "folders")) while (mkdir("deeper", 0700) == 0 && chdir("deeper") == 0) count++;
  if (!strcmp(what, "watches")) while (syscall(SYS_inotify_init1, 0) >= 0) count++;
  if (!strcmp(what, "pipes")) {
    int two[2];
    static char block[65536];
    while (pipe2(two, O_NONBLOCK) == 0) {
      fcntl(two[1], F_SETPIPE_SZ, 1 << 20);
      while (write(two[1], block, sizeof block) > 0) {}
      count++;
    }
  }
  if (!strcmp(what, "sockets")) {
    int two[2], size = 1 << 24;
    static char block[65536];
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two) == 0) {
      setsockopt(two[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
      while (write(two[0], block, sizeof block) > 0) {}
      count++;
    }
  }
  if (!strcmp(what, "segments")) {
    long id;
    while ((id = syscall(SYS_shmget, 0, 16UL << 20, 0600)) >= 0) {
      char *memory = (char *)syscall(SYS_shmat, id, 0, 0);
      for (long i = 0; i < 16 << 20; i += 4096) memory[i] = 1;
      count++;
    }
  }
  if (!strcmp(what, "queues")) {
    char name[32];
    do snprintf(name, sizeof name, "queue%ld", count);
    while (syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, 0) >= 0 && ++count);
  }
  if (!strcmp(what, "signals")) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    while (sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0) count++;
  }
  if (!strcmp(what, "timers")) {
    int timer;
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    while (syscall(SYS_timer_create, 1, &event, &timer) == 0) count++;
  }
  if (!strcmp(what, "locked")) {
    while (mlock(malloc(1 << 20), 1 << 20) == 0) count++;
  }
  if (!strcmp(what, "sparse")) {
    int file = open("/tmp/sparse", O_CREAT | O_RDWR, 0600);
    if (ftruncate(file, 1L << 50) == 0) while (pwrite(file, "x", 1, count << 20) == 1) count++;
  }
  if (!strcmp(what, "arguments")) {
    static char *long_list[40002];
    char *text = malloc(100001);
    memset(text, 'x', 100000);
    text[100000] = 0;
    for (int i = 0; i < 40000; i++) long_list[i] = text;
    execv("/attacks", long_list);
  }
  if (!strcmp(what, "attributes")) {
    char name[32];
    int file = open("/tmp/attributes", O_CREAT | O_RDWR, 0600);
    static char value[60000];
    do snprintf(name, sizeof name, "user.%ld", count);
    while (syscall(SYS_fsetxattr, file, name, value, sizeof value, 0) == 0 && ++count < 100000);
  }
  if (!strcmp(what, "rights")) {
    // Descriptors in flight hold each other: sockets that are sent through themselves.
    int two[2];
    while (socketpair(AF_UNIX, SOCK_DGRAM, 0, two) == 0) {
      char buffer[CMSG_SPACE(sizeof(int))] = "", x = 0;
      struct iovec data = {&x, 1};
      struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = buffer,
        .msg_controllen = sizeof buffer};
      struct cmsghdr *header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      memcpy(CMSG_DATA(header), &two[1], sizeof(int));
      if (sendmsg(two[0], &message, 0) < 0) break;
      close(two[0]);
      close(two[1]);
      count++;
    }
  }
  return tell(what, count);
}

// Connects to address and port, or to an abstract unix socket, and says how it went.
static int reach(const char *address, const char *port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  struct sockaddr *target = (struct sockaddr *)&v4;
  socklen_t length = sizeof v4;
  if (*address == '@') {
    strncpy(local.sun_path + 1, address + 1, sizeof local.sun_path - 2);
    target = (struct sockaddr *)&local;
    length = offsetof(struct sockaddr_un, sun_path) + strlen(address);
  } else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1) {
    target = (struct sockaddr *)&v6;
    length = sizeof v6;
  } else if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
    return 2;
  }
  alarm(SECONDS);
  int s = socket(target->sa_family, SOCK_STREAM, 0);
  puts(s >= 0 && connect(s, target, length) == 0 ? "connected" : strerrorname_np(errno));
  return 0;
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "euid") == 0) return geteuid() == 0 && getuid() != 0 ? 0 : 1;
  if (count > 2 && strcmp(arguments[1], "take") == 0) return take(arguments[2]);
  if (count > 3 && strcmp(arguments[1], "reach") == 0) return reach(arguments[2], arguments[3]);
  namespaces();
  mounts();
  files();
  kernel();
  processes();
  network();
  kernel_files();
  return 0;
}
