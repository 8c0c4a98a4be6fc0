using Berth.Core.Faults;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// The server is ended as by kill -9 once at every step of containers that last, while some come and go and one is
/// always to run: records tell the truth, restart policies hold, and nothing is left of what was removed.
/// </summary>
[Collection("server")]
public sealed class ContainerCrashTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly string[] Flags = ["--pool-memory", "0", "--collect-grace", "0s"];

    /// <summary>Points that <see cref="CrashPointTests"/> leaves to this test.</summary>
    internal static CrashPoint[] Points { get; } =
    [
        CrashPoint.LayerFrozen, CrashPoint.VolumeMade, CrashPoint.ContainerStored, CrashPoint.ContainerStartStored,
        CrashPoint.ContainerStartReported, CrashPoint.ContainerStopStored, CrashPoint.ContainerRunStored,
        CrashPoint.ContainerEndStored, CrashPoint.ContainerLayerRemoved, CrashPoint.ContainerDeleted,
        CrashPoint.VolumeRemoved,
    ];

    [Fact]
    public async Task Killed_once_at_every_step_of_containers()
    {
        Random random = new(Seed.Choose());
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        ContainerBook book = new(server);
        await book.BeginAsync();
        await server.KillAsync();

        foreach (CrashPoint point in Points)
        {
            server.Environment["BERTH_TEST_MODE"] = "1";
            server.Environment["BERTH_CRASH_AT"] = $"{point}:{random.Next(2) + 1}";
            server.Begin(Flags);
            if (await server.BecomesReadyAsync())
            {
                _ = server.Http;
                Task running = RunUntilItEndsAsync(server, book);
                if (await Task.WhenAny(running, Task.Delay(Patience)) != running)
                {
                    await server.KillAsync();
                    Assert.Fail($"{point} was not reached.");
                }

                await running;
            }

            Assert.Equal(137, await server.EndsAsync());
        }

        server.Environment.Clear();
        await server.StartAsync(Flags);
        await book.IsTrueAsync();
        await book.StepAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{Points.Length} points, {book.Removed} containers made and removed: records true, nothing left");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static async Task RunUntilItEndsAsync(ServerProcess server, ContainerBook book)
    {
        while (!server.HasEnded)
        {
            try
            {
                await book.StepAsync();
            }
            catch (Exception error) when (ConnectionLoss.IsIn(error))
            {
                // It was killed; the book knows what is in doubt.
                await Task.WhenAny(server.Ended, Task.Delay(TimeSpan.FromMilliseconds(20)));
            }
        }
    }
}
