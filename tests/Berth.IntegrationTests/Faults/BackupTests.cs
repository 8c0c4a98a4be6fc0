using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>A backup made while callers of everything go on has all that was acknowledged before it began.</summary>
[Collection("server")]
public sealed class BackupTests
{
    private static readonly string[] Flags =
        ["--callback-allow", "127.0.0.1", "--max-running", "4", "--collect-grace", "0s"];

    [Fact]
    public async Task What_was_acknowledged_before_a_backup_is_in_the_restored_server()
    {
        int seed = Seed.Choose();
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        await using FaultLoad before = new(server, seed, "before");
        await using FaultLoad during = new(server, seed + 1_000_000, "during");
        await before.RunUntilAsync(AcceptedAsync(before, 30));
        before.Pushes.ForgetUpload();
        Task running = during.RunUntilItEndsAsync();
        await AcceptedAsync(during, 5);

        string backup = Path.Combine(server.Folder, "backup.tar");
        (await server.BerthAsync("backup", backup)).Succeed();
        await server.KillAsync();
        await running;

        string restored = Path.Combine(server.Folder, "restored");
        (await Tool.RunAsync(ServerProcess.Executable, ["restore", backup, "--data", restored])).Succeed();
        string first = server.Instance;
        server.Data = restored;
        await server.StartAsync(Flags);
        await before.AllEndAsync();
        await before.IsTrueAsync();
        Assert.NotEqual(first, server.Instance);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{before.Tasks.Accepted} tasks and {before.Pushes.Count} images restored from "
            + $"{new FileInfo(backup).Length / 1_000_000} MB");
        Assert.Equal(0, await server.StopAsync());

        // What the killed one left on the machine goes with its next start.
        server.Data = Path.Combine(server.Folder, "data");
        await server.StartAsync(Flags);
    }

    private static Task AcceptedAsync(FaultLoad load, int enough) => Condition.HoldsAsync(
        $"{enough} tasks are accepted", () => load.Tasks.Accepted >= enough);
}
