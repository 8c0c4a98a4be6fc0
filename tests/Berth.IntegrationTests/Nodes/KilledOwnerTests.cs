using System.Diagnostics;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.IntegrationTests.EndToEnd;
using Berth.Node;
using Berth.Node.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>
/// kill -9 of the process that owns sandboxes, at each step of their life: nothing survives the next start.
/// </summary>
[Collection("containers")]
public sealed class KilledOwnerTests : IAsyncLifetime
{
    private const int Rounds = 5;

    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;

    private string Instance => NodeOptions.InstanceOf(folder);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    /// <summary>A test that failed half-way leaves nothing either.</summary>
    public async ValueTask DisposeAsync()
    {
        await StartAndStopAsync();
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The lines after which it is killed: later ones fall at other points of preparing and removing behind the scenes.
    [Theory]
    [InlineData("prepare", "started", 1)]
    [InlineData("prepare", "ready", 1)]
    [InlineData("run", "up", 1)]
    [InlineData("churn", "ran", 1)]
    [InlineData("churn", "ran", 2)]
    [InlineData("churn", "ran", 5)]
    [InlineData("churn", "ran", 13)]
    [InlineData("churn-inner", "ran", 1)]
    [InlineData("churn-inner", "ran", 29)]
    public async Task Nothing_is_left_after_the_next_start(string activity, string line, int times)
    {
        await KillAfterAsync(activity, line, times);

        await StartAndStopAsync();

        Assert.Empty(Left());
    }

    // Each kill falls somewhere else: while a child is forked, runc runs, control groups come or go.
    [Fact]
    public async Task Nothing_is_left_whatever_the_moment()
    {
        int seed = Seed.Choose();
        Random random = new(seed);
        for (int i = 0; i < Rounds; i++)
        {
            await KillAfterAsync("churn", "ran", random.Next(1, 4), TimeSpan.FromMilliseconds(random.Next(60)));

            await StartAndStopAsync();

            Assert.True(Left() is [], $"After kill {i}: {string.Join('\n', Left())}");
        }
    }

    [Fact]
    public async Task Programs_end_with_their_owner_even_before_the_next_start()
    {
        await KillAfterAsync("run", "up", 1);

        await Eventually.BecomesTrueAsync(
            () => HostTraces.Programs(Instance, "sleep") == 0, "what the program started is gone");

        Assert.True(HostTraces.Cgroups(Instance).Count > 0, "There was nothing to be left: the test shows nothing.");
        await StartAndStopAsync();
        Assert.Empty(Left());
    }

    [Fact]
    public async Task Being_killed_again_and_again_adds_nothing_up()
    {
        for (int i = 0; i < 3; i++)
        {
            await KillAfterAsync("prepare", "ready", 1);
        }

        await StartAndStopAsync();
        Assert.Empty(Left());
    }

    [Fact]
    public async Task Two_owners_of_one_folder_are_refused()
    {
        using Process owner = NodeOwner.Start(folder, "prepare");
        try
        {
            await ReadUntilAsync(owner, "started", 1);

            BerthException error = await Assert.ThrowsAsync<BerthException>(StartAndStopAsync);

            Assert.Equal(ErrorCode.NodeFault, error.Code);
            await ReadUntilAsync(owner, "ready", 1);
        }
        finally
        {
            owner.Kill();
            await owner.WaitForExitAsync();
        }

        await StartAndStopAsync();
        Assert.Empty(Left());
    }

    private IReadOnlyList<string> Left() => HostTraces.Of(Instance, folder);

    private async Task KillAfterAsync(string activity, string line, int times, TimeSpan later = default)
    {
        Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        using Process owner = NodeOwner.Start(folder, activity);
        await ReadUntilAsync(owner, line, times);
        await Task.Delay(later);
        owner.Kill();
        await owner.WaitForExitAsync();
    }

    private static async Task ReadUntilAsync(Process owner, string line, int times)
    {
        while (times > 0)
        {
            string? said = await owner.StandardOutput.ReadLineAsync().WaitAsync(SandboxRuns.Patience);
            Assert.True(said is not null, $"The owner ended before it said '{line}'.");
            times -= said == line ? 1 : 0;
        }
    }

    private async Task StartAndStopAsync()
    {
        var options = new NodeOptions("heir", Instance);
        await using var engine = new RuncEngine(options, TimeProvider.System, NullLogger<RuncEngine>.Instance);
        await engine.StartAsync(CancellationToken.None);
    }
}
