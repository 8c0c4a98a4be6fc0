using System.Diagnostics;
using Berth.Core.Resources;
using Berth.IntegrationTests.EndToEnd;
using Berth.Node.Cgroups;
using Berth.Testing.Content;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// Version 2 on the kernel's own hierarchy, which can be mounted beside version 1 too. A controller is in one hierarchy
/// at a time (cgroups(7)), and a test may not take memory, cpu and pids from the sandboxes of version 1 that run
/// meanwhile: for these see <see cref="UnifiedMachineTests"/>.
/// </summary>
[Collection("containers")]
public sealed class UnifiedHierarchyTests : IAsyncLifetime
{
    private static readonly string[] Limiting = ["cpu", "memory", "pids"];

    private readonly TemporaryFolder folder = new();
    private readonly string name = "/berth-test-" + Path.GetRandomFileName();
    private ICgroup group = null!;

    private string Root => folder["cgroup"];

    private string Folder => Root + name + "/a";

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Root);
        (await Tool.RunAsync("mount", ["-t", "cgroup2", "none", Root])).Succeed();
        Directory.CreateDirectory(Folder);
        group = new UnifiedCgroups(Root).At(name + "/a");
    }

    public async ValueTask DisposeAsync()
    {
        group.Kill();
        ICgroup parent = new UnifiedCgroups(Root).At(name);
        await Eventually.BecomesTrueAsync(() => parent.TryRemove(), "the test's groups are removed");
        (await Tool.RunAsync("umount", [Root])).Succeed();
        folder.Dispose();
    }

    [Fact]
    public async Task A_group_is_seen_frozen_killed_and_removed()
    {
        using Process busy = Join("while :; do :; done & sleep 600 & wait");
        await Eventually.BecomesTrueAsync(() => group.ReadProcesses().Count == 3, "all three are in the group");
        Assert.True(group.IsPopulated());
        Assert.Equal(["a"], new UnifiedCgroups(Root).ChildrenOf(name));
        Assert.Equal(
            Folder, new UnifiedCgroups(Root).FolderOf(File.ReadLines($"/proc/{busy.Id}/cgroup")));
        Assert.False(group.TryRemove());

        group.Freeze();
        await Eventually.BecomesTrueAsync(() => IsFrozen, "it stands still");
        long before = ReadCpu();
        await Task.Delay(TimeSpan.FromMilliseconds(50));
        Assert.Equal(before, ReadCpu());
        group.Thaw();
        await Eventually.BecomesTrueAsync(() => ReadCpu() > before, "it goes on");

        group.Freeze();
        group.Kill();
        await busy.WaitForExitAsync().WaitAsync(SandboxRuns.Patience);
        await Eventually.BecomesTrueAsync(() => !group.IsPopulated(), "nobody is left");
        Assert.Empty(group.ReadProcesses());
        Assert.True(group.TryRemove());
        Assert.True(group.TryRemove());
        Assert.False(group.IsPopulated());
        group.Kill();
    }

    [Fact]
    public async Task Groups_below_go_with_a_group()
    {
        Directory.CreateDirectory(Folder + "/below/more");

        Assert.True(group.TryRemove());

        Assert.False(Directory.Exists(Folder));
        using Process late = Join("sleep 600", Root + name);
        ICgroup parent = new UnifiedCgroups(Root).At(name);
        await Eventually.BecomesTrueAsync(parent.IsPopulated, "the program has joined");
        Assert.False(parent.TryRemove());
        parent.Kill();
        await late.WaitForExitAsync().WaitAsync(SandboxRuns.Patience);
    }

    [Fact]
    public void Limits_are_the_kernels_where_the_hierarchy_has_the_controllers()
    {
        string[] there = File.ReadAllText(Root + "/cgroup.controllers").Split([' ', '\n']);
        CgroupLimits limits = new(ByteSize.MiB(96), CpuQuota.FromMillicores(500), 40);
        if (Limiting.Except(there).Any())
        {
            // Here version 1 has them: refused, and no group without limits is taken for one that has them.
            Assert.ThrowsAny<IOException>(() => group.Make(limits));
            return;
        }

        Assert.Equal([Folder + "/cgroup.procs"], group.Make(limits));
        Assert.Equal("50000 100000\n", File.ReadAllText(Folder + "/cpu.max"));
        Assert.Equal("100663296\n", File.ReadAllText(Folder + "/memory.max"));
        Assert.Equal("40\n", File.ReadAllText(Folder + "/pids.max"));
        group.Tighten(ByteSize.MiB(8), 5);
        Assert.Equal("8388608\n", File.ReadAllText(Folder + "/memory.max"));
        Assert.Equal(0, group.ReadOutOfMemoryKills());
        Assert.Equal(TimeSpan.Zero, group.ReadUsage().Cpu);
        Assert.Equal(0, group.ReadMemory().Bytes);
    }

    private bool IsFrozen =>
        File.ReadAllText(Folder + "/cgroup.events").Contains("frozen 1", StringComparison.Ordinal);

    private long ReadCpu() => long.Parse(
        File.ReadLines(Folder + "/cpu.stat").Single(l => l.StartsWith("usage_usec ", StringComparison.Ordinal))
            .Split(' ')[1]);

    /// <summary>A shell that enters a group first.</summary>
    private Process Join(string script, string? into = null) => Process.Start(
        new ProcessStartInfo("sh", ["-c", $"echo 0 > '{into ?? Folder}/cgroup.procs' && {{ {script}; }}"])
        {
            UseShellExecute = false,
        })!;
}
