using Berth.Cli.Machines;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Machines;

public sealed class SecurityReviewTests
{
    private static readonly MachineFacts Machine = new(
        IsLinux: true, IsRoot: true, Kernel: new Version(6, 1, 0), RuncVersion: "1.3.6", MissingLibraries: [],
        CgroupVersion: 2, CgroupControllers: ["cpu", "memory", "pids"], UserNamespaces: 1000, HasOverlay: true,
        HasSeccomp: true, DataFolder: "/var/lib/berth", FreeBytes: 50L << 30, Port: 7070, PortIsFree: true,
        ServerAnswers: false);

    private static readonly SecurityFacts Facts = new(
        Swap: 0, CanLimitSwap: true, CorePattern: "core", SecurityModules: ["capability", "apparmor"],
        Vulnerabilities: [], HidesProcesses: true, OpenFiles: 524_288, UnprivilegedUserfaults: false);

    private const string Of2025 = "CVE-2025-31133 CVE-2025-52565 CVE-2025-52881";

    [Fact]
    public void On_a_good_machine_only_the_size_of_volumes_is_open() => Assert.Equal(
        ["volumes"],
        SecurityReview.Judge(Machine, Facts).Where(f => f.State != FindingState.Ok).Select(f => f.Name));

    [Theory]
    [InlineData("1.1.5+ds1", "CVE-2024-21626 CVE-2024-45310 " + Of2025 + " CVE-2026-41579")]
    [InlineData("1.1.15", Of2025 + " CVE-2026-41579")]
    [InlineData("1.2.7", Of2025 + " CVE-2026-41579")]
    [InlineData("1.2.8", "CVE-2026-41579")]
    [InlineData("1.3.2", Of2025 + " CVE-2026-41579")]
    [InlineData("1.3.6", "")]
    [InlineData("1.4.0", "CVE-2026-41579")]
    [InlineData("1.4.3", "")]
    [InlineData("2.0.0-rc1", "")]
    [InlineData("unknown", "CVE-2024-21626 CVE-2024-45310 " + Of2025 + " CVE-2026-41579")]
    public void Runcs_version_tells_what_it_has_no_fix_for(string version, string open) =>
        Assert.Equal(open, string.Join(' ', SecurityReview.OpenAdvisories(version)));

    public static TheoryData<string, string> Hosts => new()
    {
        { "swap", "swap that can't be limited" },
        { "core dumps", "a crash starts a program" },
        { "mandatory access", "no security module" },
        { "processor", "open vulnerabilities" },
        { "other users", "processes are seen" },
        { "open files", "few open files" },
        { "userfaultfd", "page faults for everybody" },
        { "runc", "old runc" },
        { "cgroups", "cgroup version 1" },
    };

    [Theory]
    [MemberData(nameof(Hosts))]
    public void Each_weakness_of_a_host_is_told_with_its_remedy(string name, string host)
    {
        (MachineFacts machine, SecurityFacts facts) = Weak(host);

        Finding finding = Assert.Single(
            SecurityReview.Judge(machine, facts), f => f.State == FindingState.Warning && f.Name != "volumes");

        Assert.Equal(name, finding.Name);
        Assert.False(string.IsNullOrEmpty(finding.Remedy));
    }

    [Fact]
    public void What_a_sandbox_stands_on_is_missing_not_weak()
    {
        MachineFacts bare = Machine with
        {
            Kernel = new Version(4, 19),
            RuncVersion = null,
            UserNamespaces = 0,
            HasSeccomp = false,
            CgroupControllers = ["cpu"],
        };

        string[] missing =
        [
            .. SecurityReview.Judge(bare, Facts).Where(f => f.State == FindingState.Missing).Select(f => f.Name),
        ];

        Assert.Equal(["kernel", "runc", "user namespaces", "seccomp", "cgroups"], missing);
    }

    [Fact]
    public void Facts_are_read_from_the_kernels_files()
    {
        using TemporaryFolder folder = new();
        void Put(string path, string text)
        {
            string place = folder.Path + path;
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            File.WriteAllText(place, text);
        }

        Put("/proc/meminfo", "MemTotal:  1000 kB\nSwapTotal:       2048 kB\n");
        Put("/proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n");
        Put("/sys/kernel/security/lsm", "lockdown,capability,apparmor");
        Put("/sys/devices/system/cpu/vulnerabilities/mds", "Vulnerable: no microcode\n");
        Put("/sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n");
        Put("/proc/self/mounts", "proc /proc proc rw,nosuid,hidepid=2 0 0\n");
        Put("/proc/self/limits", "Max open files            1024                 20000                files\n");
        Put("/proc/sys/vm/unprivileged_userfaultfd", "1\n");

        SecurityFacts facts = SecurityFacts.Gather(folder.Path);

        Assert.Equal(2L << 20, facts.Swap);
        Assert.False(facts.CanLimitSwap);
        Assert.StartsWith("|", facts.CorePattern, StringComparison.Ordinal);
        Assert.Contains("apparmor", facts.SecurityModules);
        Assert.Equal(["mds"], facts.Vulnerabilities);
        Assert.True(facts.HidesProcesses);
        Assert.Equal(20_000, facts.OpenFiles);
        Assert.True(facts.UnprivilegedUserfaults);
    }

    private static (MachineFacts Machine, SecurityFacts Facts) Weak(string host) => host switch
    {
        "swap that can't be limited" => (Machine, Facts with { Swap = 1 << 30, CanLimitSwap = false }),
        "a crash starts a program" => (Machine, Facts with { CorePattern = "|/usr/share/apport/apport %p" }),
        "no security module" => (Machine, Facts with { SecurityModules = ["capability", "landlock"] }),
        "open vulnerabilities" => (Machine, Facts with { Vulnerabilities = ["mds", "retbleed"] }),
        "processes are seen" => (Machine, Facts with { HidesProcesses = false }),
        "few open files" => (Machine, Facts with { OpenFiles = 20_000 }),
        "page faults for everybody" => (Machine, Facts with { UnprivilegedUserfaults = true }),
        "old runc" => (Machine with { RuncVersion = "1.1.5+ds1" }, Facts),
        "cgroup version 1" => (Machine with { CgroupVersion = 1 }, Facts),
        _ => throw new ArgumentException($"There is no host '{host}'.", nameof(host)),
    };
}
