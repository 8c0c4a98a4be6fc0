using System.Diagnostics;
using Berth.Core.Pools;
using Berth.Node;
using Berth.Node.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>What a killed server left whose data folder is gone: another server's sweep removes it, and nothing
/// else.</summary>
[Collection("containers")]
public sealed class AbandonedTests : IAsyncLifetime
{
    private const string RuntimeFolder = "/run/berth";

    private readonly string dead = NewFolder();
    private readonly string own = NewFolder();
    private readonly RuncEngine engine;

    public AbandonedTests() => engine = NewEngine(own);

    private IReadOnlyList<string> Left => HostTraces.Of(NodeOptions.InstanceOf(dead), dead);

    /// <summary>Without processes: they end by themselves, soon.</summary>
    private string[] Lasting => [.. Left.Where(l => !l.StartsWith("process ", StringComparison.Ordinal))];

    private IReadOnlyList<string> Mounts => HostTraces.Mounts($"{RuntimeFolder}/{NodeOptions.InstanceOf(dead)}");

    private IReadOnlyList<string> Cgroups => HostTraces.Cgroups(NodeOptions.InstanceOf(dead));

    private int Sleeping => HostTraces.Programs(NodeOptions.InstanceOf(dead), "sleep");

    private string Lock => $"{RuntimeFolder}/{NodeOptions.InstanceOf(dead)}.lock";

    public async ValueTask InitializeAsync() => await engine.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync();
        await using (RuncEngine heir = NewEngine(dead))
        {
            await heir.StartAsync(CancellationToken.None);
        }

        foreach (string folder in new[] { dead, own }.Where(Directory.Exists))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("prepare", "started")]
    [InlineData("prepare", "ready")]
    [InlineData("run", "up")]
    [InlineData("churn", "ran")]
    public async Task What_nobody_will_ever_start_on_again_is_removed(string activity, string line)
    {
        using Process owner = await StartAsync(activity, line);
        await KillAsync(owner);
        Assert.True(Mounts.Count > 0, "There was nothing to be left: the test shows nothing.");
        Directory.Delete(dead, recursive: true);

        await engine.SweepAsync(CancellationToken.None);

        Assert.Empty(Left);
        Assert.False(File.Exists(Lock));
    }

    [Fact]
    public async Task What_a_later_start_may_want_stays()
    {
        using Process owner = await StartAsync("prepare", "ready");
        await KillAsync(owner);
        string[] before = Lasting;

        await engine.SweepAsync(CancellationToken.None);

        Assert.Equal(before, Lasting);
        Assert.True(Mounts.Count > 0 && Cgroups.Count > 0, string.Join('\n', before));
        Assert.Equal(dead, File.ReadAllText(Lock));
    }

    [Fact]
    public async Task A_server_that_lives_keeps_its_own_without_its_folder_too()
    {
        using Process owner = await StartAsync("run", "up");
        string moved = dead + ".moved";
        Directory.Move(dead, moved);
        try
        {
            // The one behind the shell's back, and the shell's own.
            await Eventually.BecomesTrueAsync(() => Sleeping == 2, "both programs sleep");

            await engine.SweepAsync(CancellationToken.None);

            Assert.Equal(2, Sleeping);
            Assert.True(Mounts.Count > 0 && Cgroups.Count > 0, string.Join('\n', Left));
            Assert.False(owner.HasExited);
        }
        finally
        {
            Directory.Move(moved, dead);
            await KillAsync(owner);
        }
    }

    [Fact]
    public async Task What_a_killed_one_left_goes_with_a_next_start_that_is_interrupted()
    {
        using Process owner = await StartAsync("prepare", "ready");
        await KillAsync(owner);
        Assert.True(Mounts.Count > 0 && Cgroups.Count > 0, "There was nothing to be left: the test shows nothing.");
        string runc = Path.Combine(own, "runc");
        string begun = Path.Combine(own, "begun");
        // A machine that is very busy: it answers when nobody waits any more.
        await File.WriteAllTextAsync(runc, $"#!/bin/sh\ntouch {begun}\nexec sleep 3\n");
        File.SetUnixFileMode(runc, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        RuncEngine next = new(
            new NodeOptions("sweeper", NodeOptions.InstanceOf(dead))
            {
                Pool = PoolLimits.None,
                StorageFolder = dead,
                Runc = runc,
            },
            TimeProvider.System, NullLogger<RuncEngine>.Instance);
        using CancellationTokenSource interrupt = new();

        Task starting = next.StartAsync(interrupt.Token);
        await Eventually.BecomesTrueAsync(() => File.Exists(begun), "the start is held up");
        await interrupt.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);
        await next.DisposeAsync();

        Assert.Empty(Left);
        Assert.False(File.Exists(Lock));
    }

    private static string NewFolder() =>
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;

    private static RuncEngine NewEngine(string folder) => new(
        new NodeOptions("sweeper", NodeOptions.InstanceOf(folder)) { Pool = PoolLimits.None, StorageFolder = folder },
        TimeProvider.System, NullLogger<RuncEngine>.Instance);

    private async Task<Process> StartAsync(string activity, string line)
    {
        Process owner = NodeOwner.Start(dead, activity);
        string? said;
        do
        {
            said = await owner.StandardOutput.ReadLineAsync().WaitAsync(SandboxRuns.Patience);
            Assert.True(said is not null, $"The owner ended before it said '{line}'.");
        }
        while (said != line);
        return owner;
    }

    private static async Task KillAsync(Process owner)
    {
        owner.Kill();
        await owner.WaitForExitAsync();
    }
}
