using Berth.Node.Cgroups;
using Xunit;

namespace Berth.Tests.Cgroups;

/// <summary>Which file is written, in the layouts of cgroups(7).</summary>
public sealed class MoveWarmupTests : IDisposable
{
    private readonly CgroupFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("0::/system.slice/berth.service", "/system.slice/berth.service")]
    [InlineData("0::/", "")]
    [InlineData("12:pids:/elsewhere\n0::/here:there", "/here:there")]
    public void In_the_unified_layout_the_group_is_that_of_the_line_without_controllers(string lines, string group)
    {
        folder.Add(group);

        string? found = new UnifiedCgroups(folder.Root).FolderOf(lines.Split('\n'));

        Assert.Equal(folder.Root + group, found);
    }

    [Theory]
    [InlineData("4:memory:/a\n3:cpu,cpuacct:/b\n2:pids,rdma:/c\n0::/d", "/pids/c")]
    [InlineData("2:pids:/", "/pids")]
    public void In_the_layout_of_version_1_it_is_that_of_a_controller(string lines, string group)
    {
        folder.Add("/memory");
        folder.Add(group);

        string? found = Split().FolderOf(lines.Split('\n'));

        Assert.Equal(folder.Root + group, found);
    }

    [Theory]
    [InlineData("2:pids:/../../outside")]
    [InlineData("4:memory:/a")]
    [InlineData("pids")]
    [InlineData("")]
    public void A_group_that_is_not_mounted_here_is_none(string lines)
    {
        folder.Add("/memory/a");
        folder.Add("/pids");

        Assert.Null(Split().FolderOf(lines.Split('\n')));
    }

    [Fact]
    public void The_process_is_moved_to_where_it_is()
    {
        folder.Add("", ("membership", "0::/berth.service\n"));
        folder.Add("/berth.service", ("cgroup.procs", "-"));
        string written;
        using (MoveWarmup warmup = new(new UnifiedCgroups(folder.Root), folder.Root + "/membership"))
        {
            warmup.Begin();
            Assert.True(
                SpinWait.SpinUntil(() => folder.Read("/berth.service/cgroup.procs") != "-", TimeSpan.FromSeconds(30)),
                "Nothing was written to cgroup.procs.");
            written = folder.Read("/berth.service/cgroup.procs");
        }

        Assert.Equal("0", written);
    }

    [Fact]
    public void Where_it_may_not_be_moved_nothing_happens()
    {
        MoveWarmup warmup = new(new UnifiedCgroups(folder.Root), folder.Root + "/none");

        warmup.Begin();
        warmup.Dispose();

        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Root));
    }

    private SplitCgroups Split() => new(
        new Dictionary<string, string> { ["memory"] = folder.Root + "/memory", ["pids"] = folder.Root + "/pids" },
        unified: null);
}
