using System.Collections.Concurrent;
using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Testing.Content;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Store;

/// <summary>The password of the database is changed while a server uses it: by scram, and with every connection that is
/// open cut, so that new ones have to be opened.</summary>
public sealed class PostgresPasswordTests(SharedPostgres postgres) : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static int roles;

    private readonly string role = string.Create(
        CultureInfo.InvariantCulture, $"keeper{Interlocked.Increment(ref roles)}");

    private readonly TemporaryFolder folder = new();
    private readonly Notes notes = new();
    private PostgresCluster cluster = null!;
    private PostgresStore store = null!;

    private string PasswordFile => folder["store.password"];

    public async ValueTask InitializeAsync()
    {
        cluster = await postgres.Cluster;
        await cluster.ExecuteAsync("postgres", $"CREATE ROLE {role} LOGIN PASSWORD 'first'");
        await cluster.ExecuteAsync("postgres", $"CREATE DATABASE {role} OWNER {role}");
        await File.WriteAllTextAsync(PasswordFile, "first\n");
        store = await PostgresStore.OpenAsync(
            PostgresCluster.Parse(cluster.AddressOf(role, role, "not-this-one")).WithPasswordFile(PasswordFile),
            "one", TimeProvider.System, notes, None);
    }

    public async ValueTask DisposeAsync()
    {
        await store.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task Where_the_file_has_it_first_nobody_notices()
    {
        foreach (string next in (string[])["second", "third"])
        {
            await File.WriteAllTextAsync(PasswordFile, next);
            await CutAsync();
            await UseAsync();

            await ChangeAsync(next);
            await CutAsync();
            await UseAsync();
        }

        Assert.Equal(StoreCondition.Accepting, store.Condition);
        Assert.DoesNotContain(notes, note => note.Contains("refuse", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Where_the_database_has_it_first_the_server_says_what_it_waits_for_and_goes_on_by_itself()
    {
        await ChangeAsync("second");
        // Connections that are open go on.
        await store.AcceptAsync(New(), None);

        await CutAsync();
        BerthException away = await Assert.ThrowsAsync<BerthException>(() => store.AcceptAsync(New(), None));
        BerthException still = await Assert.ThrowsAsync<BerthException>(() => store.AcceptAsync(New(), None));

        Assert.Equal((ErrorCode.StorageFault, StoreCondition.Refused), (away.Code, store.Condition));
        Assert.All([away, still], e => Assert.Contains("password authentication failed", e.Message));
        string told = Assert.Single(notes, note => note.Contains("refuses this server", StringComparison.Ordinal));
        Assert.Contains(PasswordFile, told, StringComparison.Ordinal);
        await File.WriteAllTextAsync(PasswordFile, "second");
        await UntilAsync(() => store.Condition == StoreCondition.Accepting);
        await UseAsync();
        Assert.DoesNotContain(notes, note => note.Contains("second", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_file_that_is_not_there_is_named()
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => PostgresStore.OpenAsync(
            PostgresCluster.Parse(cluster.AddressOf(role, role)).WithPasswordFile(folder["none"]), "two",
            TimeProvider.System, notes, None));

        Assert.Equal(ErrorCode.InvalidConfiguration, refused.Code);
        Assert.Contains(folder["none"], refused.Message, StringComparison.Ordinal);
    }

    private static NewRun New() => new(Accepted(), default, null, default);

    private async Task ChangeAsync(string password) =>
        await cluster.ExecuteAsync("postgres", $"ALTER ROLE {role} PASSWORD '{password}'");

    /// <summary>Ends every connection that the server has, and waits until they are gone.</summary>
    private async Task CutAsync() => await cluster.ExecuteAsync(
        "postgres",
        $"SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE usename = '{role}'");

    /// <summary>With more at once than one connection serves.</summary>
    private async Task UseAsync()
    {
        NewRun[] runs = [.. Enumerable.Range(0, 20).Select(_ => New())];
        await Task.WhenAll(runs.Select(run => store.AcceptAsync(run, None)));
        Run?[] found = await Task.WhenAll(runs.Select(run => store.FindAsync(run.Run.Id, None)));
        Assert.Equal(runs.Select(run => run.Run.Id), found.Select(run => run!.Id));
    }

    private static async Task UntilAsync(Func<bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!holds())
        {
            await Task.Delay(10, limit.Token);
        }
    }

    private sealed class Notes : ConcurrentQueue<string>, ILogger<PostgresStore>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter) => Enqueue(formatter(state, exception) + exception);
    }
}
