using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// The power goes while callers of everything go on: the server starts on what had reached the disk at that instant.
/// What was acknowledged before is there. BERTH_TEST_POWER_CUTS sets their number.
/// </summary>
[Collection("server")]
public sealed class PowerCutTests
{
    private static readonly string[] Flags =
        ["--callback-allow", "127.0.0.1", "--max-running", "4", "--collect-grace", "0s"];

    [Fact]
    public async Task What_was_acknowledged_before_a_power_cut_is_there_after_it()
    {
        int cuts = Amount.Of("BERTH_TEST_POWER_CUTS", 10);
        int seed = Seed.Choose();
        Random random = new(seed);
        await using CopyableDisk disk = await CopyableDisk.MakeAsync(512 + (cuts * 16));
        await using ServerProcess server = await BusyboxServer.StartAsync(
            new ServerProcess(Path.Combine(disk.Folder, "data")), Flags);
        await using FaultLoad load = new(server, seed);
        for (int cut = 0; cut < cuts; cut++)
        {
            if (cut > 0)
            {
                await server.StartAsync(Flags);
                await load.AllEndAsync();
                await load.IsTrueAsync();
            }

            Task running = load.RunUntilItEndsAsync();
            int enough = load.Tasks.Accepted + random.Next(3, 40);
            await Condition.HoldsAsync(
                "tasks are accepted", () => load.Tasks.Accepted >= enough || running.IsCompleted);
            // Stopped, so that nothing is acknowledged between the instant of the cut and the end.
            ServerProcess.Signal(server.Pid, 19);
            await disk.CutAsync();
            await server.KillAsync();
            await running;
            // Bytes of an upload are promised when it is committed.
            load.Pushes.ForgetUpload();
            await disk.ComeBackAsync();
        }

        await server.StartAsync(Flags);
        await load.AllEndAsync();
        await load.IsTrueAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{cuts} power cuts, {load.Tasks.Accepted} tasks accepted, {load.Pushes.Count} images whole");
        await load.Pushes.CancelUploadsAsync();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }
}
