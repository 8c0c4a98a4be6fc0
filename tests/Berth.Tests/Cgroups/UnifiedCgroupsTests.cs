using Berth.Core.Resources;
using Berth.Node.Cgroups;
using Xunit;

namespace Berth.Tests.Cgroups;

/// <summary>Version 2 as admin-guide/cgroup-v2.rst writes its files.</summary>
public sealed class UnifiedCgroupsTests : IDisposable
{
    private readonly CgroupFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Usage_is_read_in_microseconds_and_bytes()
    {
        folder.Add(
            "/berth-1/a",
            ("cpu.stat",
                "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\ncore_sched.force_idle_usec 0\nnr_periods 3\n"),
            ("memory.peak", "4194304\n"),
            ("memory.current", "1\n"));

        CgroupUsage usage = Group().ReadUsage();

        Assert.Equal(TimeSpan.FromMicroseconds(1500), usage.Cpu);
        Assert.Equal(TimeSpan.FromMicroseconds(1000), usage.CpuUser);
        Assert.Equal(TimeSpan.FromMicroseconds(500), usage.CpuSystem);
        Assert.Equal(ByteSize.MiB(4), usage.PeakMemory);
    }

    [Fact]
    public void Kernels_before_memory_peak_give_the_current_usage()
    {
        folder.Add("/berth-1/a", ("cpu.stat", "usage_usec 1\n"), ("memory.current", "8192\n"));

        Assert.Equal(8192, Group().ReadUsage().PeakMemory.Bytes);
    }

    [Fact]
    public void Kills_at_the_limit_are_counted_and_group_kills_are_not()
    {
        folder.Add("/berth-1/a", ("memory.events", "low 0\nhigh 0\nmax 17\noom 4\noom_kill 2\noom_group_kill 9\n"));

        Assert.Equal(2, Group().ReadOutOfMemoryKills());
    }

    [Fact]
    public void Killing_writes_to_cgroup_kill_and_a_missing_group_is_dead_already()
    {
        folder.Add("/berth-1/a", ("cgroup.kill", ""));

        Group().Kill();
        new UnifiedCgroups(folder.Root).At("/berth-1/gone").Kill();

        Assert.Equal("1", folder.Read("/berth-1/a/cgroup.kill"));
    }

    [Theory]
    [InlineData("populated 1\nfrozen 0\n", true)]
    [InlineData("populated 0\nfrozen 0\n", false)]
    public void Population_is_told_by_cgroup_events(string events, bool populated)
    {
        folder.Add("/berth-1/a", ("cgroup.events", events));

        Assert.Equal(populated, Group().IsPopulated());
        Assert.False(new UnifiedCgroups(folder.Root).At("/berth-1/gone").IsPopulated());
    }

    [Fact]
    public void Limits_are_lowered_one_by_one()
    {
        folder.Add("/berth-1/a", ("memory.max", "max\n"), ("pids.max", "max\n"));

        Group().Tighten(ByteSize.MiB(8), null);

        Assert.StartsWith("8388608", folder.Read("/berth-1/a/memory.max"), StringComparison.Ordinal);
        Assert.Equal("max\n", folder.Read("/berth-1/a/pids.max"));
    }

    [Fact]
    public void Removing_takes_sub_groups_first_and_can_be_repeated()
    {
        folder.Add("/berth-1/a/b/c");

        Assert.True(Group().TryRemove());
        Assert.True(Group().TryRemove());
        Assert.False(Directory.Exists(folder.Root + "/berth-1/a"));
    }

    [Fact]
    public void A_group_in_use_is_not_removed()
    {
        // A file stands for what makes the kernel answer EBUSY.
        folder.Add("/berth-1/a", ("busy", ""));

        Assert.False(Group().TryRemove());
    }

    [Fact]
    public void Children_are_listed_by_name()
    {
        folder.Add("/berth-1/a");
        folder.Add("/berth-1/b", ("cgroup.procs", ""));

        Assert.Equal(["a", "b"], new UnifiedCgroups(folder.Root).ChildrenOf("/berth-1").Order());
        Assert.Empty(new UnifiedCgroups(folder.Root).ChildrenOf("/berth-2"));
    }

    [Fact]
    public void A_group_made_here_has_its_limits_and_controllers_all_the_way()
    {
        folder.Add("", ("cgroup.subtree_control", ""));
        folder.Add("/berth-1", ("cgroup.subtree_control", ""));
        folder.Add(
            "/berth-1/a", ("cpu.max", ""), ("memory.max", ""), ("memory.swap.max", ""), ("pids.max", ""));

        IReadOnlyList<string> join = Group().Make(new CgroupLimits(ByteSize.MiB(96), CpuQuota.FromMillicores(500), 40));

        Assert.Equal([folder.Root + "/berth-1/a/cgroup.procs"], join);
        Assert.Equal("+cpu +memory +pids", folder.Read("/cgroup.subtree_control"));
        Assert.Equal("+cpu +memory +pids", folder.Read("/berth-1/cgroup.subtree_control"));
        Assert.Equal("50000 100000", folder.Read("/berth-1/a/cpu.max"));
        Assert.Equal("100663296", folder.Read("/berth-1/a/memory.max"));
        Assert.Equal("0", folder.Read("/berth-1/a/memory.swap.max"));
        Assert.Equal("40", folder.Read("/berth-1/a/pids.max"));
    }

    private ICgroup Group() => new UnifiedCgroups(folder.Root).At("/berth-1/a");
}
