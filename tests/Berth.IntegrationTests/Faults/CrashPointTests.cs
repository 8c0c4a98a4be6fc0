using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// The server is ended as by kill -9 once at every crash point, while callers of everything go on. After a chain of
/// such kills nothing acknowledged is lost, nothing happened twice and nothing is left on the machine.
/// BERTH_TEST_CRASH_POINTS=TaskStored,BlobNamed makes a chain of one's own.
/// </summary>
[Collection("crash points")]
public sealed class CrashPointTests
{
    private const int ChainLength = 11;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    // Nothing prepared ahead, few places, and collection of all that nothing names: so that every point is reached.
    private static readonly string[] Flags =
        ["--pool-memory", "0", "--callback-allow", "127.0.0.1", "--max-running", "3", "--collect-grace", "0s"];

    private static readonly CrashPoint[] OfAnEmptyFolder =
    [
        CrashPoint.MigrationApplied, CrashPoint.MigrationsCommitted, CrashPoint.AdministratorTokenWritten,
        CrashPoint.AdministratorTokenStored,
    ];

    /// <summary>Points of the start, and what the server before was doing when it was killed.</summary>
    private static readonly (CrashPoint Before, CrashPoint Point)[] OfAStart =
    [
        (CrashPoint.AttemptStarted, CrashPoint.DataFolderTaken),
        (CrashPoint.BlobSynced, CrashPoint.ContentOpened),
        (CrashPoint.LayerUnpacked, CrashPoint.LeftoverLayersMoved),
        (CrashPoint.ContainerCreated, CrashPoint.LeftoversRemoved),
        (CrashPoint.ContainerBooted, CrashPoint.NodeStarted),
        (CrashPoint.EndStored, CrashPoint.DelaysBounded),
        (CrashPoint.SpoolFolderSynced, CrashPoint.LeftResultsDeleted),
        (CrashPoint.ProgramStarted, CrashPoint.RecoveredRunsStored),
        (CrashPoint.InputKept, CrashPoint.LeftSpoolDeleted),
        (CrashPoint.TasksClaimed, CrashPoint.RunsStarted),
        (CrashPoint.CallbackSent, CrashPoint.Listening),
    ];

    private static readonly CrashPoint[] OfAStop =
        [CrashPoint.StopBegun, CrashPoint.RunsStopped, CrashPoint.ListeningEnded, CrashPoint.NodeStopped];

    private static readonly CrashPoint[] OfRetention =
    [
        CrashPoint.BodiesDeleted, CrashPoint.BodiesForgotten, CrashPoint.RecordsDeleted, CrashPoint.LogDeleted,
    ];

    /// <summary>Points that are passed so often that the first time says little: at most this many times.</summary>
    private static readonly Dictionary<CrashPoint, int> Frequent = new()
    {
        [CrashPoint.TransactionBegun] = 40,
        [CrashPoint.TransactionFilled] = 40,
        [CrashPoint.TransactionCommitted] = 40,
        [CrashPoint.TransactionAcknowledged] = 40,
        [CrashPoint.SpoolFileMade] = 6,
        [CrashPoint.SpoolFileSynced] = 6,
        [CrashPoint.SpoolFileNamed] = 6,
        [CrashPoint.SpoolFolderSynced] = 6,
        [CrashPoint.FileWritten] = 10,
        [CrashPoint.FileReplaced] = 10,
        [CrashPoint.FolderSynced] = 10,
        [CrashPoint.BlobSynced] = 6,
        [CrashPoint.BlobNamed] = 6,
        [CrashPoint.BlobPublished] = 6,
        [CrashPoint.TaskStored] = 4,
        [CrashPoint.AttemptReported] = 4,
        [CrashPoint.CgroupRemoved] = 4,
    };

    /// <summary>First points of the chains under load.</summary>
    public static TheoryData<CrashPoint> Chains =>
        System.Environment.GetEnvironmentVariable("BERTH_TEST_CRASH_POINTS") is { Length: > 0 }
            ? new TheoryData<CrashPoint>(default(CrashPoint))
            : [.. UnderLoad().Chunk(ChainLength).Select(chain => chain[0])];

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task Killed_once_at_every_point_from(CrashPoint first)
    {
        int seed = Seed.Choose();
        Random random = new(seed);
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        await using FaultLoad load = new(server, seed);
        await server.KillAsync();

        foreach (CrashPoint point in ChainFrom(first))
        {
            int time = random.Next(Frequent.GetValueOrDefault(point, 1)) + 1;
            await CrashUnderLoadAsync(server, load, point, time);
        }

        await EndAsync(server, load);
    }

    [Fact]
    public async Task Killed_at_every_point_of_a_start_after_a_kill()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        await using FaultLoad load = new(server, Seed.Choose());
        await server.KillAsync();

        foreach ((CrashPoint before, CrashPoint point) in OfAStart)
        {
            await CrashUnderLoadAsync(server, load, before, 1);
            if (point == CrashPoint.LeftSpoolDeleted)
            {
                string left = Path.Combine(server.Data, "spool", RunId.New(TimeProvider.System.GetUtcNow()).Text);
                Directory.CreateDirectory(left);
                await File.WriteAllTextAsync(Path.Combine(left, "input"), "of a task that was not accepted");
            }

            Plan(server, point, 1);
            server.Begin(Flags);
            bool ready = await server.BecomesReadyAsync();
            Assert.False(ready && point != CrashPoint.Listening, $"{point} was not reached.");
            Assert.Equal(137, await server.EndsAsync());
        }

        await EndAsync(server, load);
    }

    [Fact]
    public async Task Killed_at_every_point_of_an_orderly_stop()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        await using FaultLoad load = new(server, Seed.Choose());
        await server.KillAsync();

        foreach (CrashPoint point in OfAStop)
        {
            Plan(server, point, 1);
            await server.StartAsync([.. Flags, "--shutdown-grace", "1s"]);
            Task running = load.RunUntilItEndsAsync();
            int enough = load.Tasks.Accepted + 5;
            await Condition.HoldsAsync("tasks are accepted", () => load.Tasks.Accepted >= enough || server.HasEnded);
            Assert.Equal(137, await server.StopAsync());
            await running;
        }

        await EndAsync(server, load);
    }

    [Fact]
    public async Task Killed_at_every_point_of_the_first_start()
    {
        foreach (CrashPoint point in OfAnEmptyFolder)
        {
            await using ServerProcess server = new();
            Plan(server, point, 1);
            server.Begin();
            Assert.Equal(137, await server.EndsAsync());

            server.Environment.Clear();
            await server.StartAsync();
            Assert.Contains("version", await server.Http.GetStringAsync("/v1/version"), StringComparison.Ordinal);
            Assert.Equal(0, await server.StopAsync());
            await ServerTraces.AreGoneAsync(server);
        }
    }

    [Fact]
    public async Task Killed_at_every_point_of_deleting_what_is_old()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        foreach (CrashPoint point in OfRetention)
        {
            // When bodies go is decided when their runs end.
            await server.KillAsync();
            await server.StartAsync([.. Flags, "--result-retention", "1s"]);
            TaskBook book = new(server, point.ToString());
            for (int i = 0; i < 3; i++)
            {
                await book.EndAsync(
                    await book.SubmitAsync($"{point}-{i}", TaskBook.Bytes(i, 100_000), "echo up >&2; cat"));
            }

            await server.KillAsync();
            await Condition.HoldsAsync(
                "the logs are old",
                () => Directory.EnumerateFiles(Path.Combine(server.Data, "logs"), "*", SearchOption.AllDirectories)
                    .All(f =>
                        TimeProvider.System.GetUtcNow().UtcDateTime > File.GetLastWriteTimeUtc(f).AddSeconds(1.5)));
            Plan(server, point, 1);
            string records = point == CrashPoint.RecordsDeleted ? "1s" : "1h";
            server.Begin([
                .. Flags, "--result-retention", "1s", "--log-retention", "1s", "--run-retention", records]);
            Assert.Equal(137, await server.EndsAsync());
            server.Environment.Clear();
            await server.StartAsync(Flags);
        }

        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Without_the_mode_for_tests_no_crash_is_planned()
    {
        await using ServerProcess server = new();
        server.Environment["BERTH_CRASH_AT"] = nameof(CrashPoint.Listening);
        server.Begin();

        Assert.Equal(78, await server.EndsAsync());
        Assert.Contains("BERTH_CRASH_AT", server.Log, StringComparison.Ordinal);
        server.Environment.Clear();
    }

    private static IEnumerable<CrashPoint> UnderLoad() => Enum.GetValues<CrashPoint>()
        .Except(OfAnEmptyFolder).Except(OfAStart.Select(s => s.Point)).Except(OfAStop).Except(OfRetention)
        .Except(ContainerCrashTests.Points).Except(InnerCrashTests.Points)
        .Except(AfterwardsCrashTests.Points);

    private static IEnumerable<CrashPoint> ChainFrom(CrashPoint first) =>
        System.Environment.GetEnvironmentVariable("BERTH_TEST_CRASH_POINTS") is { Length: > 0 } chosen
            ? chosen.Split(',').Select(Enum.Parse<CrashPoint>)
            : UnderLoad().SkipWhile(point => point != first).Take(ChainLength);

    private static void Plan(ServerProcess server, CrashPoint point, int time)
    {
        server.Environment["BERTH_TEST_MODE"] = "1";
        server.Environment["BERTH_CRASH_AT"] = $"{point}:{time}";
    }

    private static async Task CrashUnderLoadAsync(ServerProcess server, FaultLoad load, CrashPoint point, int time)
    {
        long begun = TimeProvider.System.GetTimestamp();
        Plan(server, point, time);
        server.Begin(Flags);
        if (await server.BecomesReadyAsync())
        {
            Task running = load.RunUntilItEndsAsync();
            if (await Task.WhenAny(running, Task.Delay(Patience)) != running)
            {
                await server.KillAsync();
                await running;
                Assert.Fail($"{point} was not reached {time} times.");
            }

            await running;
        }

        Assert.Equal(137, await server.EndsAsync());
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{point}:{time} after {TimeProvider.System.GetElapsedTime(begun).TotalSeconds:0.0} s");
    }

    private static async Task EndAsync(ServerProcess server, FaultLoad load)
    {
        server.Environment.Clear();
        long begun = TimeProvider.System.GetTimestamp();
        await server.StartAsync(Flags);
        await load.AllEndAsync();
        TimeSpan took = TimeProvider.System.GetElapsedTime(begun);
        await load.IsTrueAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{load.Tasks.Accepted} tasks accepted, all with their end {took.TotalSeconds:0.0} s after the last start; "
            + $"{load.Pushes.Count} images whole");
        await load.Pushes.CancelUploadsAsync();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }
}
