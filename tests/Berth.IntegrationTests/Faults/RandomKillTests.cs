using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// kill -9 of server, sandbox or runtime at random moments while tasks are handed in and run. The long run:
/// BERTH_TEST_KILLS=200 BERTH_TEST_KILL_TASKS=10000.
/// </summary>
[Collection("server")]
public sealed class RandomKillTests
{
    private static readonly string?[] Scripts =
        [null, "exec cat", "sleep 0.1; exec cat", "cat; sleep 0.05", "cat; echo done >&2"];

    [Fact]
    public async Task Kills_at_random_lose_and_repeat_nothing()
    {
        int tasks = Amount.Of("BERTH_TEST_KILL_TASKS", 400);
        int kills = Amount.Of("BERTH_TEST_KILLS", 8);
        int seed = Seed.Choose();
        Random random = new(seed);
        await using ServerProcess server = await BusyboxServer.StartAsync();
        TaskBook book = new(server, "random");
        int[] sizes = [.. Enumerable.Range(0, tasks).Select(
            _ => random.Next(8) == 0 ? random.Next(400_000) : random.Next(2000))];
        int given = -1;
        Task[] callers = [.. Enumerable.Range(0, 6).Select(async _ =>
        {
            int i;
            while ((i = Interlocked.Increment(ref given)) < tasks)
            {
                await book.SubmitThroughKillsAsync(
                    $"t{i}", TaskBook.Bytes(seed + i, sizes[i]), Scripts[i % Scripts.Length]);
            }
        })];

        Dictionary<string, int> killed = [];
        for (int kill = 1; kill <= kills; kill++)
        {
            int enough = kill * tasks / (kills + 1);
            await Condition.HoldsAsync(
                $"{enough} tasks are accepted", () => book.Accepted >= enough || callers.Any(c => c.IsFaulted));
            await Task.Delay(random.Next(150));
            string what = await KillAsync(server, random.Next(3));
            killed[what] = killed.GetValueOrDefault(what) + 1;
        }

        long begun = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(callers);
        await EndAsync(server);
        await book.IsTrueAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{book.Accepted} tasks, killed: {string.Join(", ", killed.Select(k => $"{k.Value} {k.Key}"))}; all true "
            + $"{TimeProvider.System.GetElapsedTime(begun).TotalSeconds:0.0} s after the last kill");
        Assert.Equal(tasks, book.Accepted);
        await ServerTraces.AreOnlySandboxesAsync(server);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>Waits until nothing is queued, for as long as that becomes less.</summary>
    private static async Task EndAsync(ServerProcess server)
    {
        for (int left = await QueuedAsync(server); left > 0;)
        {
            int before = left;
            await Condition.HoldsAsync(
                $"some of {before} queued tasks have ended",
                async () => (left = await QueuedAsync(server)) < before ? null : $"{left} are queued");
        }
    }

    private static async Task<int> QueuedAsync(ServerProcess server)
    {
        const string Metric = "berth_tasks{state=\"queued\"} ";
        string metrics = await server.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        string line = metrics.Split('\n').Single(l => l.StartsWith(Metric, StringComparison.Ordinal));
        return int.Parse(line[Metric.Length..]);
    }

    /// <summary>Kills one of what there is, the server where there is nothing else. Says what it was.</summary>
    private static async Task<string> KillAsync(ServerProcess server, int choice)
    {
        int[] found = choice switch
        {
            1 => [.. ServerTraces.Inits(server)],
            2 => [.. ServerTraces.Runtimes(server)],
            _ => [],
        };
        if (found.Length > 0)
        {
            ServerProcess.TrySignal(found[0], 9);
            return choice == 1 ? "sandboxes" : "runtimes";
        }

        await server.KillAsync();
        await server.StartAsync();
        return "servers";
    }
}
