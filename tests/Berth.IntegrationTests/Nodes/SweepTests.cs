using System.Diagnostics;
using Berth.Api.Nodes;
using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>The pass that looks for what no sandbox owns: it removes that and nothing else.</summary>
[Collection("containers")]
public sealed class SweepTests : IAsyncLifetime
{
    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;
    private readonly BusyboxImages images;
    private readonly NodeOptions options;
    private readonly RuncEngine engine;

    public SweepTests()
    {
        images = new BusyboxImages(folder);
        options = new NodeOptions("swept", NodeOptions.InstanceOf(folder)) { Pool = PoolLimits.None };
        engine = new RuncEngine(options, TimeProvider.System, NullLogger<RuncEngine>.Instance);
    }

    public async ValueTask InitializeAsync() => await engine.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync();
        images.Dispose();
        Assert.Empty(HostTraces.Of(options.Instance));
    }

    [Fact]
    public async Task Living_sandboxes_are_left_alone()
    {
        await using ISandbox sandbox = await PrepareAsync();

        int removed = await engine.SweepAsync(CancellationToken.None);

        Assert.Equal(0, removed);
        Assert.True(sandbox.IsAlive);
    }

    [Fact]
    public async Task Objects_without_a_sandbox_go()
    {
        string root = $"{options.RuntimeFolder}/{options.Instance}";
        Directory.CreateDirectory(root + "/sandboxes/lost/fs");
        using (var mount = Process.Start("mount", ["-t", "tmpfs", "lost", root + "/sandboxes/lost/fs"]))
        {
            await mount.WaitForExitAsync();
        }

        Directory.CreateDirectory(root + "/runc/lost");
        Directory.CreateDirectory(CgroupFolderOf("lost"));
        using Process process = Process.Start("sleep", ["600"]);
        await File.WriteAllTextAsync(CgroupFolderOf("lost") + "/cgroup.procs", process.Id.ToString());

        int removed = await engine.SweepAsync(CancellationToken.None);
        int again = await engine.SweepAsync(CancellationToken.None);

        Assert.Equal(3, removed);
        Assert.Equal(0, again);
        await process.WaitForExitAsync().WaitAsync(SandboxRuns.Patience);
        Assert.False(Directory.Exists(CgroupFolderOf("lost")));
        Assert.Empty(Directory.GetDirectories(root + "/sandboxes"));
    }

    [Fact]
    public async Task Ended_processes_that_nobody_waits_for_are_reaped_at_the_second_look()
    {
        // The shell ends at once; its child is handed to this process, which is a subreaper.
        var start = new ProcessStartInfo("sh", ["-c", "sleep 0.05 >/dev/null & echo $!"])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        using Process shell = Process.Start(start)!;
        string child = "/proc/" + (await shell.StandardOutput.ReadToEndAsync()).Trim();
        await shell.WaitForExitAsync();

        await Eventually.BecomesTrueAsync(
            () => File.ReadAllText(child + "/stat").Contains(") Z ", StringComparison.Ordinal),
            "the child's child has ended");
        await engine.SweepAsync(CancellationToken.None);
        await engine.SweepAsync(CancellationToken.None);

        Assert.False(Directory.Exists(child));
    }

    [Fact]
    public async Task Removing_twice_is_the_same_as_once()
    {
        ISandbox sandbox = await PrepareAsync();

        await Task.WhenAll(sandbox.RemoveAsync(), sandbox.RemoveAsync());
        await sandbox.DisposeAsync();
        await sandbox.DisposeAsync();

        Assert.False(sandbox.IsAlive);
        Assert.Equal(0, await engine.SweepAsync(CancellationToken.None));
        Assert.Throws<IOException>(() => sandbox.ReadUsage());
    }

    [Fact]
    public async Task A_sandbox_whose_init_was_killed_says_so_and_can_be_removed()
    {
        ISandbox sandbox = await PrepareAsync();

        sandbox.KillInit();
        await Eventually.BecomesTrueAsync(() => !sandbox.IsAlive, "the sandbox is seen to be dead");

        await sandbox.DisposeAsync();
    }

    private Task<ISandbox> PrepareAsync() => PrepareAsync(new(images.Plain, NodeFixture.Limits, NetworkMode.None));

    private async Task<ISandbox> PrepareAsync(SandboxSpec spec)
    {
        using Oci.Layers.ImageHandle image = await images.OpenAsync(spec.Image, CancellationToken.None);
        return await engine.PrepareAsync(spec, image, extras: null, CancellationToken.None);
    }

    private string CgroupFolderOf(string name)
    {
        string hierarchy = CgroupDetection.Detect().Version == 2 ? "" : "/pids";
        return $"/sys/fs/cgroup{hierarchy}/berth-{options.Instance}/{name}";
    }
}
