using Berth.Core.Resources;

namespace Berth.Cli.Machines;

/// <summary>
/// Judges from the facts what this machine can't enforce. What a sandbox stands on and is missing is
/// <see cref="FindingState.Missing"/>; what weakens it, and is the operator's to weigh, a warning.
/// </summary>
internal static class SecurityReview
{
    private const long WantedOpenFiles = 65_536;

    /// <summary>Ways out of a container that releases of runc closed, with the releases by minor version.</summary>
    private static readonly (string Advisory, Version[] Fixed)[] RuncAdvisories =
    [
        ("CVE-2024-21626", [new(1, 1, 12), new(1, 2, 0)]),
        ("CVE-2024-45310", [new(1, 1, 14), new(1, 2, 0)]),
        ("CVE-2025-31133", [new(1, 2, 8), new(1, 3, 3), new(1, 4, 0)]),
        ("CVE-2025-52565", [new(1, 2, 8), new(1, 3, 3), new(1, 4, 0)]),
        ("CVE-2025-52881", [new(1, 2, 8), new(1, 3, 3), new(1, 4, 0)]),
        ("CVE-2026-41579", [new(1, 3, 6), new(1, 4, 3), new(1, 5, 0)]),
    ];

    /// <summary>The remedy, with the first releases that have all fixes.</summary>
    public const string InstallFixed = "install runc 1.3.6, 1.4.3, 1.5.0 or newer";

    public static IReadOnlyList<Finding> Judge(MachineFacts machine, SecurityFacts facts) =>
    [
        Kernel(machine), Runc(machine), UserNamespaces(machine), Seccomp(machine), Cgroups(machine), Swap(facts),
        Cores(facts), Modules(facts), Processor(facts), Processes(facts), OpenFiles(facts), Userfaults(facts),
        Volumes(machine),
    ];

    /// <summary>Advisories that a release of runc has no fix for. Distributions patch without a new number.</summary>
    public static IReadOnlyList<string> OpenAdvisories(string version)
    {
        string number = version.Split('+', '-', '~')[0];
        if (!Version.TryParse(number, out Version? parsed))
        {
            return [.. RuncAdvisories.Select(a => a.Advisory)];
        }

        return
        [
            .. RuncAdvisories
                .Where(a => parsed < a.Fixed[^1]
                    && !a.Fixed.Any(f => f.Major == parsed.Major && f.Minor == parsed.Minor && parsed >= f))
                .Select(a => a.Advisory),
        ];
    }

    private static Finding Kernel(MachineFacts machine) => machine is { IsLinux: true, Kernel: { } kernel }
        && kernel >= new Version(5, 19)
        ? new("kernel", FindingState.Ok, $"Linux {kernel}; shared with every sandbox, so keep it patched")
        : new("kernel", FindingState.Missing, "no id-mapped overlay mounts: sandboxes can't be made",
            "use Linux 5.19 or newer");

    private static Finding Runc(MachineFacts machine)
    {
        if (machine.RuncVersion is not { } version)
        {
            return new("runc", FindingState.Missing, "not found in PATH", "apt-get install runc");
        }

        IReadOnlyList<string> open = OpenAdvisories(version);
        return open.Count == 0
            ? new("runc", FindingState.Ok, $"{version} holds the fixes for all {RuncAdvisories.Length} known ways out")
            : new(
                "runc", FindingState.Warning,
                $"{version} has no fix of its own for {string.Join(", ", open)}; a distribution may have patched it. "
                + "Berth checks images first, gives runc no hooks and no terminal, and runs all in user namespaces",
                InstallFixed + ", or look the numbers up with your distribution");
    }

    private static Finding UserNamespaces(MachineFacts machine) => machine.UserNamespaces > 0
        ? new("user namespaces", FindingState.Ok, "root of a sandbox is nobody on the machine")
        : new("user namespaces", FindingState.Missing, "switched off: no sandbox can be made",
            "sysctl -w user.max_user_namespaces=100000");

    private static Finding Seccomp(MachineFacts machine) => machine.HasSeccomp
        ? new("seccomp", FindingState.Ok, "system calls are filtered")
        : new("seccomp", FindingState.Missing, "not in this kernel", "use a kernel with CONFIG_SECCOMP_FILTER");

    private static Finding Cgroups(MachineFacts machine)
    {
        string[] absent = [.. new[] { "memory", "cpu", "pids" }.Except(machine.CgroupControllers)];
        if (absent.Length > 0)
        {
            return new(
                "cgroups", FindingState.Missing, $"no limit of {string.Join(", ", absent)} can be enforced",
                "boot with systemd, or mount the controllers; memory may need the kernel option cgroup_enable=memory");
        }

        return machine.CgroupVersion == 2
            ? new("cgroups", FindingState.Ok, "version 2")
            : new(
                "cgroups", FindingState.Warning,
                "version 1: a sandbox is ended by freezing and killing one by one, and writes to disk are not charged "
                + "to who makes them",
                "boot with systemd.unified_cgroup_hierarchy=1");
    }

    private static Finding Swap(SecurityFacts facts) => facts switch
    {
        { Swap: 0 } => new("swap", FindingState.Ok, "none: what a sandbox holds in memory stays there"),
        { CanLimitSwap: true } => new(
            "swap", FindingState.Ok, $"{ByteSize.FromBytes(facts.Swap)}, sandboxes are kept out of it"),
        _ => new(
            "swap", FindingState.Warning,
            $"{ByteSize.FromBytes(facts.Swap)} that sandboxes can't be kept out of: memory limits hold for memory only",
            "swapoff -a, or boot with swapaccount=1"),
    };

    /// <summary>A limit of 0 keeps no dump from a program that the pattern pipes to (core(5)).</summary>
    private static Finding Cores(SecurityFacts facts) => facts.CorePattern.StartsWith('|')
        ? new(
            "core dumps", FindingState.Warning,
            $"a crash in a sandbox starts {facts.CorePattern.Split(' ')[0][1..]} as root of the machine, with the "
            + "sandbox's memory as its input",
            "sysctl -w kernel.core_pattern=core")
        : new("core dumps", FindingState.Ok, "none are written");

    private static Finding Modules(SecurityFacts facts)
    {
        string[] own = [.. facts.SecurityModules.Intersect(["apparmor", "selinux", "smack", "tomoyo"])];
        return own.Length > 0
            ? new("mandatory access", FindingState.Ok, string.Join(", ", own) + " (Berth brings no profile of its own)")
            : new(
                "mandatory access", FindingState.Warning, "no AppArmor and no SELinux: one layer less around a sandbox",
                "boot with apparmor=1 security=apparmor, where the kernel has it");
    }

    private static Finding Processor(SecurityFacts facts) => facts.Vulnerabilities.Count == 0
        ? new("processor", FindingState.Ok, "the kernel reports no open vulnerability")
        : new(
            "processor", FindingState.Warning,
            $"open to {string.Join(", ", facts.Vulnerabilities)}: a sandbox may read what others compute",
            "update the processor's microcode (intel-microcode, amd64-microcode), and boot without mitigations=off");

    private static Finding Processes(SecurityFacts facts) => facts.HidesProcesses
        ? new("other users", FindingState.Ok, "/proc hides processes of others")
        : new(
            "other users", FindingState.Warning,
            "users of this machine see the command lines of sandboxes; sandboxes see nobody's",
            "let nobody log in here, or mount -o remount,hidepid=2 /proc");

    private static Finding OpenFiles(SecurityFacts facts) => facts.OpenFiles >= WantedOpenFiles
        ? new("open files", FindingState.Ok, "as many as a sandbox may have")
        : new(
            "open files", FindingState.Warning,
            $"the hard limit of {facts.OpenFiles} holds for server and sandboxes alike",
            $"ulimit -Hn {WantedOpenFiles}, or LimitNOFILE={WantedOpenFiles} in the unit");

    private static Finding Userfaults(SecurityFacts facts) => facts.UnprivilegedUserfaults
        ? new(
            "userfaultfd", FindingState.Warning, "open to every user of the machine; sandboxes are kept from it",
            "sysctl -w vm.unprivileged_userfaultfd=0")
        : new("userfaultfd", FindingState.Ok, "closed to ordinary users");

    private static Finding Volumes(MachineFacts machine) => new(
        "volumes", FindingState.Warning,
        $"named volumes have no limit of size: they share what is free for {machine.DataFolder}",
        "put the data folder on a disk of its own");
}
