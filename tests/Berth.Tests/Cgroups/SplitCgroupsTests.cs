using Berth.Core.Resources;
using Berth.Node.Cgroups;
using Xunit;

namespace Berth.Tests.Cgroups;

/// <summary>Version 1 as the kernel documents below admin-guide/cgroup-v1 describe its files.</summary>
public sealed class SplitCgroupsTests : IDisposable
{
    private const string Path = "/berth-1/a";

    private readonly CgroupFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Usage_comes_from_two_hierarchies()
    {
        folder.Add(
            "/cpuacct" + Path, ("cpuacct.usage", "3000000\n"), ("cpuacct.usage_user", "1000000\n"),
            ("cpuacct.usage_sys", "2000000\n"));
        folder.Add("/memory" + Path, ("memory.max_usage_in_bytes", "1048576\n"));

        CgroupUsage usage = Group().ReadUsage();

        Assert.Equal(TimeSpan.FromMilliseconds(3), usage.Cpu);
        Assert.Equal(TimeSpan.FromMilliseconds(1), usage.CpuUser);
        Assert.Equal(TimeSpan.FromMilliseconds(2), usage.CpuSystem);
        Assert.Equal(ByteSize.MiB(1), usage.PeakMemory);
    }

    [Fact]
    public void Kills_at_the_limit_stand_in_oom_control()
    {
        folder.Add("/memory" + Path, ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"));

        Assert.Equal(5, Group().ReadOutOfMemoryKills());
    }

    [Fact]
    public void Files_that_stay_open_tell_what_they_tell_now()
    {
        string memory = folder.Add(
            "/memory" + Path, ("memory.usage_in_bytes", "100\n"), ("memory.oom_control", "oom_kill 5\n"));
        ICgroup group = Group();
        group.KeepFiles();
        Assert.Equal(100, group.ReadMemory().Bytes);
        Assert.Equal(5, group.ReadOutOfMemoryKills());

        folder.Add("/memory" + Path, ("memory.usage_in_bytes", "99\n"), ("memory.oom_control", "oom_kill 16\n"));
        Assert.Equal(99, group.ReadMemory().Bytes);
        Assert.Equal(16, group.ReadOutOfMemoryKills());

        // Not looked for again, until the group goes.
        File.Delete(memory + "/memory.usage_in_bytes");
        Assert.Equal(99, group.ReadMemory().Bytes);
        File.Delete(memory + "/memory.oom_control");
        Assert.True(group.TryRemove());
        Assert.Throws<FileNotFoundException>(() => group.ReadMemory());
        Assert.Throws<FileNotFoundException>(() => group.ReadOutOfMemoryKills());
    }

    [Fact]
    public void The_peak_begins_anew_by_a_write()
    {
        folder.Add("/memory" + Path, ("memory.max_usage_in_bytes", "9"));

        Group().ResetPeak();

        Assert.Equal("0", folder.Read("/memory" + Path + "/memory.max_usage_in_bytes"));
    }

    [Fact]
    public void Memory_with_swap_is_lowered_only_where_it_is_accounted()
    {
        folder.Add("/memory" + Path, ("memory.limit_in_bytes", ""));
        Group().Tighten(ByteSize.KiB(8192), null);
        Assert.Equal("8388608", folder.Read("/memory" + Path + "/memory.limit_in_bytes"));

        folder.Add("/memory", ("memory.memsw.limit_in_bytes", ""));
        folder.Add("/memory" + Path, ("memory.memsw.limit_in_bytes", ""));
        Group().Tighten(ByteSize.KiB(8192), null);
        Assert.Equal("8388608", folder.Read("/memory" + Path + "/memory.memsw.limit_in_bytes"));
    }

    [Fact]
    public void The_hybrid_layouts_own_kill_is_used()
    {
        folder.Add("/memory" + Path, ("cgroup.procs", ""));
        folder.Add("/unified" + Path, ("cgroup.kill", ""));

        Group().Kill();

        Assert.Equal("1", folder.Read("/unified" + Path + "/cgroup.kill"));
    }

    [Fact]
    public void Removing_takes_the_group_out_of_every_hierarchy()
    {
        folder.Add("/memory" + Path);
        folder.Add("/cpuacct" + Path);
        folder.Add("/unified" + Path);

        Assert.True(Group().TryRemove());

        Assert.Empty(Directory.GetDirectories(folder.Root, "a", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_group_left_in_one_hierarchy_is_found()
    {
        folder.Add("/pids" + Path);

        Assert.Equal(["a"], Groups().ChildrenOf("/berth-1"));
    }

    [Fact]
    public void Detection_tells_the_layouts_apart()
    {
        string[] split =
        [
            "30 24 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory",
            "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
            "32 24 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids",
            "33 24 0:29 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer",
        ];
        string unified = "34 24 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate";

        Assert.Equal(1, CgroupDetection.Detect(split).Version);
        Assert.Equal(1, CgroupDetection.Detect([.. split, unified]).Version);
        Assert.Equal(2, CgroupDetection.Detect([unified]).Version);
        var missing = Assert.Throws<Berth.Core.Errors.BerthException>(() => CgroupDetection.Detect(split.Take(2)));
        Assert.Contains("pids, freezer", missing.Message, StringComparison.Ordinal);
    }

    private SplitCgroups Groups() => new(
        new Dictionary<string, string>
        {
            ["memory"] = folder.Root + "/memory",
            ["cpuacct"] = folder.Root + "/cpuacct",
            ["cpu"] = folder.Root + "/cpuacct",
            ["pids"] = folder.Root + "/pids",
            ["freezer"] = folder.Root + "/freezer",
        },
        folder.Root + "/unified");

    private ICgroup Group() => Groups().At(Path);
}
