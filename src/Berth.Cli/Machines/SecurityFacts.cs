using System.Globalization;

namespace Berth.Cli.Machines;

/// <summary>
/// What <c>berth doctor --security</c> looks at beside <see cref="MachineFacts"/>: how far this machine can enforce
/// what
/// a sandbox promises. Gathered without changing anything.
/// </summary>
/// <param name="Swap">Bytes of swap in use or ready; 0 where there is none.</param>
/// <param name="CanLimitSwap">Whether a sandbox can be kept out of it.</param>
/// <param name="CorePattern">kernel.core_pattern.</param>
/// <param name="SecurityModules">Of the kernel, in use: apparmor, selinux, landlock and so on.</param>
/// <param name="Vulnerabilities">Of the processor, that the kernel says nothing is done about.</param>
/// <param name="HidesProcesses">Whether /proc is mounted with hidepid.</param>
/// <param name="OpenFiles">Hard limit of open files.</param>
/// <param name="UnprivilegedUserfaults">vm.unprivileged_userfaultfd.</param>
internal sealed record SecurityFacts(
    long Swap,
    bool CanLimitSwap,
    string CorePattern,
    IReadOnlyList<string> SecurityModules,
    IReadOnlyList<string> Vulnerabilities,
    bool HidesProcesses,
    long OpenFiles,
    bool UnprivilegedUserfaults)
{
    private const string Vulnerable = "/sys/devices/system/cpu/vulnerabilities";

    /// <param name="root">The machine's root folder; another one in tests.</param>
    public static SecurityFacts Gather(string root = "")
    {
        string groups = root + "/sys/fs/cgroup";
        return new SecurityFacts(
            SwapOf(Read(root + "/proc/meminfo")),
            File.Exists(groups + "/cgroup.controllers")
                || File.Exists(groups + "/memory/memory.memsw.limit_in_bytes"),
            Read(root + "/proc/sys/kernel/core_pattern").Trim(),
            Read(root + "/sys/kernel/security/lsm").Trim().Split(',', StringSplitOptions.RemoveEmptyEntries),
            Weaknesses(root + Vulnerable),
            Read(root + "/proc/self/mounts").Split('\n')
                .Any(l => l.Contains(" /proc proc ", StringComparison.Ordinal)
                    && (l.Contains("hidepid=2", StringComparison.Ordinal)
                        || l.Contains("hidepid=invisible", StringComparison.Ordinal)
                        || l.Contains("hidepid=1", StringComparison.Ordinal)
                        || l.Contains("hidepid=noaccess", StringComparison.Ordinal))),
            OpenFilesOf(Read(root + "/proc/self/limits")),
            Read(root + "/proc/sys/vm/unprivileged_userfaultfd").Trim() == "1");
    }

    private static long SwapOf(string memory)
    {
        string? line = memory.Split('\n').FirstOrDefault(l => l.StartsWith("SwapTotal:", StringComparison.Ordinal));
        string? kibibytes = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(1);
        return long.TryParse(kibibytes, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            ? number * 1024
            : 0;
    }

    /// <summary>"Max open files            1024                 524288               files".</summary>
    private static long OpenFilesOf(string limits)
    {
        string? line = limits.Split('\n').FirstOrDefault(l => l.StartsWith("Max open files", StringComparison.Ordinal));
        string? hard = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(4);
        return long.TryParse(hard, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            ? number
            : long.MaxValue;
    }

    private static string[] Weaknesses(string folder) => Directory.Exists(folder)
        ?
        [
            .. Directory.EnumerateFiles(folder)
                .Where(f => Read(f).StartsWith("Vulnerable", StringComparison.Ordinal))
                .Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal),
        ]
        : [];

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
