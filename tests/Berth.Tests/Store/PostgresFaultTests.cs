using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Store;

/// <summary>What becomes of a store that can't be opened, and of one that goes away.</summary>
public sealed class PostgresFaultTests(SharedPostgres postgres)
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_wrong_password_is_refused_without_telling_it()
    {
        PostgresCluster cluster = await postgres.Cluster;

        BerthException error = await RefusalAsync(cluster.AddressOf("postgres", password: "not-this-one"));

        Assert.Contains("password", error.Message, StringComparison.Ordinal);
        Assert.Contains("store-password-file", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("not-this-one", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_that_is_not_there_is_refused_by_name()
    {
        BerthException error = await RefusalAsync((await postgres.Cluster).AddressOf("nothing"));

        Assert.Contains("\"nothing\" does not exist", error.Message, StringComparison.Ordinal);
        Assert.Contains("createdb", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_refused()
    {
        BerthException error = await RefusalAsync("postgres://me:secret@127.0.0.1:1/berth");

        Assert.Contains("127.0.0.1:1", error.Message, StringComparison.Ordinal);
        Assert.Contains("PostgreSQL runs", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_left_alone()
    {
        PostgresCluster cluster = await postgres.Cluster;
        string address = await cluster.NewDatabaseAsync();
        await (await OpenAsync(address)).DisposeAsync();
        await cluster.ExecuteAsync(NameOf(address), "UPDATE berth_version SET version = 999");

        BerthException error = await RefusalAsync(address);

        Assert.Contains("newer Berth (store version 999", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_with_somebody_elses_tables_is_left_alone()
    {
        PostgresCluster cluster = await postgres.Cluster;
        string address = await cluster.NewDatabaseAsync();
        await cluster.ExecuteAsync(NameOf(address), "CREATE TABLE runs (kilometres int)");

        Assert.Contains("of its own", (await RefusalAsync(address)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_user_that_may_only_read_is_refused()
    {
        PostgresCluster cluster = await postgres.Cluster;
        string address = await cluster.NewDatabaseAsync();
        string name = NameOf(address);
        await (await OpenAsync(address)).DisposeAsync();
        await cluster.ExecuteAsync(
            name, $"CREATE ROLE reader_{name} LOGIN PASSWORD 'pw'; GRANT pg_read_all_data TO reader_{name}");

        BerthException error = await RefusalAsync(cluster.AddressOf(name, $"reader_{name}", "pw"));

        Assert.Contains("owner", error.Message, StringComparison.Ordinal);
        await cluster.ExecuteAsync(name, $"ALTER DATABASE {name} SET default_transaction_read_only = on");
        Assert.Contains("replica", (await RefusalAsync(address)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Servers_that_start_at_once_make_the_tables_once()
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();

        PostgresStore[] stores = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => OpenAsync(address)));

        await Task.WhenAll(stores.Select(store => store.AcceptAsync(New(), None)));
        Assert.Equal(5, (await stores[0].CountAsync(None)).Queued);
        foreach (PostgresStore store in stores)
        {
            await store.DisposeAsync();
        }
    }

    [Fact]
    public async Task While_it_is_away_writes_are_refused_and_afterwards_nothing_is_lost_or_doubled()
    {
        await using PostgresCluster cluster = await PostgresCluster.StartAsync("fsync=off");
        await using PostgresStore store = await OpenAsync(await cluster.NewDatabaseAsync());
        List<RunId> accepted = [];
        List<RunId> refused = [];
        using CancellationTokenSource enough = new();
        Task[] callers = [.. Enumerable.Range(0, 16).Select(_ => Task.Run(SubmitAsync))];

        // In the midst of writes, twice in an orderly way and twice as in a crash.
        for (int outage = 0; outage < 4; outage++)
        {
            await UntilAsync(() => Count(accepted) > 200 * (outage + 1));
            await (outage % 2 == 0 ? cluster.StopAsync() : cluster.KillAsync());
            int before = Count(refused);
            await UntilAsync(() => Count(refused) > before && store.Condition == StoreCondition.Failing);
            BerthException unread = await Assert.ThrowsAsync<BerthException>(
                () => store.FindAsync(RunId.New(Noon), None));
            Assert.Equal((ErrorCode.StorageFault, true), (unread.Code, unread.RetryAfter > TimeSpan.Zero));
            await cluster.StartAsync();
            await UntilAsync(() => store.Condition == StoreCondition.Accepting);
        }

        await enough.CancelAsync();
        await Task.WhenAll(callers);

        RunId[] stored = [.. (await store.ListAsync(
            new RunQuery(null, null, null, new Dictionary<string, string>(), int.MaxValue, null), None))
            .Select(run => run.Id)];
        Assert.Empty(accepted.Except(stored));
        Assert.Equal(stored.Length, stored.Distinct().Count());
        Assert.Empty(stored.Except(accepted).Except(refused));

        async Task SubmitAsync()
        {
            while (!enough.IsCancellationRequested)
            {
                NewRun run = New();
                try
                {
                    await store.AcceptAsync(run, None);
                    Add(accepted, run.Run.Id);
                }
                catch (BerthException error) when (error.Code == ErrorCode.StorageFault)
                {
                    Add(refused, run.Run.Id);
                    await Task.Delay(10);
                }
            }
        }
    }

    [Fact]
    public async Task What_ends_a_run_is_told_the_truth_when_the_database_goes_in_the_middle()
    {
        await using PostgresCluster cluster = await PostgresCluster.StartAsync("fsync=off");
        await using PostgresStore store = await OpenAsync(await cluster.NewDatabaseAsync());
        await Task.WhenAll(Enumerable.Range(0, 2000).Select(_ => store.AcceptAsync(New(), None)));
        int ended = 0;
        Task[] workers = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(WorkAsync))];

        for (int outage = 0; outage < 3; outage++)
        {
            await UntilAsync(
                () => Volatile.Read(ref ended) > 200 * (outage + 1) || workers.Any(worker => worker.IsFaulted));
            await (outage % 2 == 0 ? cluster.KillAsync() : cluster.StopAsync());
            await cluster.StartAsync();
        }

        await Task.WhenAll(workers);

        // A claim without an answer leaves its runs to whoever recovers them; no end was refused or written twice.
        RunCounts counts = await store.CountAsync(None);
        Assert.Equal(2000, ended + counts.Queued + counts.Starting);
        Assert.Equal(0, counts.Queued);

        async Task WorkAsync()
        {
            while (true)
            {
                IReadOnlyList<ClaimedRun> claimed = await PersistAsync(
                    () => store.ClaimAsync(new ClaimOrder(3, Noon), None));
                if (claimed.Count == 0)
                {
                    return;
                }

                foreach (ClaimedRun run in claimed)
                {
                    SaveOutcome outcome = await PersistAsync(
                        () => store.SaveAsync(Ending(run.Run, EndReason.PlatformFault, Noon), None));
                    Assert.True(outcome.Applied, $"The end of {run.Run.Id} was refused: {outcome.Current?.State}");
                    Interlocked.Increment(ref ended);
                }
            }
        }
    }

    private static NewRun New() => new(Accepted(), default, null, default);

    private static string NameOf(string address) => address[(address.LastIndexOf("@/", StringComparison.Ordinal) + 2)..]
        .Split('?')[0];

    private static Task<PostgresStore> OpenAsync(string address) => PostgresStore.OpenAsync(
        PostgresCluster.Parse(address), "one", TimeProvider.System, NullLogger<PostgresStore>.Instance, None);

    private static async Task<BerthException> RefusalAsync(string address)
    {
        BerthException error = await Assert.ThrowsAsync<BerthException>(() => OpenAsync(address));
        Assert.Equal(ErrorCode.InvalidConfiguration, error.Code);
        return error;
    }

    private static async Task<T> PersistAsync<T>(Func<Task<T>> write)
    {
        while (true)
        {
            try
            {
                return await write();
            }
            catch (BerthException error) when (error.Code == ErrorCode.StorageFault)
            {
                await Task.Delay(20);
            }
        }
    }

    private static void Add(List<RunId> ids, RunId id)
    {
        lock (ids)
        {
            ids.Add(id);
        }
    }

    private static int Count(List<RunId> ids)
    {
        lock (ids)
        {
            return ids.Count;
        }
    }

    private static async Task UntilAsync(Func<bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!holds())
        {
            await Task.Delay(10, limit.Token);
        }
    }
}
