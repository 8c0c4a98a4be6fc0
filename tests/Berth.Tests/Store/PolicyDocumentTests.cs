using System.Text;
using Berth.Core.Errors;
using Berth.Registry.Mirrors;
using Berth.Registry.Policies;
using Berth.Server.Cluster;
using Berth.Server.Secrets;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Testing.Content;
using Berth.Testing.Registry;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Store;

/// <summary>Policies of repositories in a file.</summary>
public sealed class FileOfPoliciesTests : PolicyDocumentContract
{
    private readonly TemporaryFolder folder = new();

    public override ValueTask DisposeAsync()
    {
        folder.Dispose();
        return base.DisposeAsync();
    }

    protected override Task<PolicyStore> OpenAsync() =>
        PolicyStore.OpenAsync(folder["policies.json"], CancellationToken.None);

    [Fact]
    public async Task A_file_that_is_none_is_named()
    {
        await File.WriteAllTextAsync(folder["policies.json"], "{", CancellationToken.None);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(OpenAsync);

        Assert.Equal(ErrorCode.InvalidConfiguration, refused.Code);
        Assert.Contains(folder["policies.json"], refused.Message, StringComparison.Ordinal);
    }
}

/// <summary>Policies of repositories in a PostgreSQL that several servers share.</summary>
public sealed class SharedPoliciesTests(SharedPostgres postgres) : PolicyDocumentContract
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TemporaryFolder folder = new();
    private readonly List<PostgresStore> stores = [];
    private Task<string>? address;

    public override async ValueTask DisposeAsync()
    {
        foreach (PostgresStore store in stores)
        {
            await store.DisposeAsync();
        }

        folder.Dispose();
        await base.DisposeAsync();
    }

    protected override async Task<PolicyStore> OpenAsync() => await OpenAsync("one");

    [Fact]
    public async Task What_one_server_says_another_hears_and_two_at_once_undo_nothing()
    {
        using PolicyStore one = await OpenAsync("one");
        using PolicyStore two = await OpenAsync("two");

        await one.SetAsync(new RepositoryPolicy("team", ["v*"], null, null, null), None);
        // It has not heard of that yet.
        await two.SetAsync(new RepositoryPolicy("demo", null, 5, null, null), None);
        await two.SetAsync("team", before => before! with { QuotaBytes = 7 }, None);
        Assert.Contains(SharedPolicies.Topic, await ((IClusterStore)stores[^2]).ChangedAsync(None));
        await one.RefreshAsync(None);

        Assert.Equivalent(two.All(), one.All(), strict: true);
        Assert.Equal(2, one.All().Count);
        Assert.True(one.Find("team") is { QuotaBytes: 7, ImmutableTags.Count: 1 });
    }

    [Fact]
    public async Task What_was_in_the_folders_of_servers_is_brought_to_the_store_once()
    {
        await FolderSaysAsync("one", new RepositoryPolicy("team", null, 1, null, null));
        await FolderSaysAsync(
            "two", new RepositoryPolicy("team", null, 2, null, null),
            new RepositoryPolicy("demo", null, 3, null, null));

        using PolicyStore one = await OpenAsync("one");
        using PolicyStore two = await OpenAsync("two");
        await two.SetAsync(new RepositoryPolicy("demo", null, null, null, null), None);
        using PolicyStore again = await OpenAsync("two");

        Assert.Equal(("team", 1), (Assert.Single(again.All()).Scope, again.All()[0].QuotaBytes));
        Assert.False(File.Exists(FileOf("two")));
        Assert.True(File.Exists(FileOf("two") + ".migrated"));
    }

    [Fact]
    public async Task A_login_is_not_told_by_the_database_and_outlasts_another_key()
    {
        RepositoryPolicy hub = new(
            "hub", null, null, null, null, new UpstreamPolicy("https://registry.example.org", "me", "hidden-word"));
        using (PolicyStore one = await OpenAsync("one"))
        {
            await one.SetAsync(hub, None);
        }

        byte[] body = (await ((IClusterStore)stores[^1]).ReadDocumentAsync(SharedPolicies.Topic, None))!;
        Assert.DoesNotContain("hidden-word", Encoding.UTF8.GetString(body), StringComparison.Ordinal);
        string first = await File.ReadAllTextAsync(folder["secrets.key"], None);
        string second = $"2 {new string('a', 64)}\n";
        await File.WriteAllTextAsync(folder["secrets.key"], first + second, None);
        (await OpenAsync("one")).Dispose();
        await File.WriteAllTextAsync(folder["secrets.key"], second, None);
        using PolicyStore later = await OpenAsync("one");

        Assert.Equal("hidden-word", later.Find("hub")!.Upstream!.Password);
        await File.WriteAllTextAsync(folder["secrets.key"], first, None);
        BerthException refused = await Assert.ThrowsAsync<BerthException>(OpenAsync);
        Assert.Contains("key 2, which", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_can_not_read_what_there_is_does_not_replace_it()
    {
        using PolicyStore one = await OpenAsync("one");
        await File.AppendAllTextAsync(folder["secrets.key"], $"2 {new string('a', 64)}\n", None);
        using PolicyStore two = await OpenAsync("two");
        await two.SetAsync(new RepositoryPolicy("team", null, 1, null, null), None);

        await Assert.ThrowsAsync<BerthException>(() => one.RefreshAsync(None));
        await Assert.ThrowsAsync<BerthException>(
            () => one.SetAsync(new RepositoryPolicy("demo", null, 1, null, null), None));

        await two.RefreshAsync(None);
        Assert.Equal("team", Assert.Single(two.All()).Scope);
    }

    private string FileOf(string server) => folder[$"{server}.json"];

    private async Task FolderSaysAsync(string server, params RepositoryPolicy[] said)
    {
        using PolicyStore own = await PolicyStore.OpenAsync(FileOf(server), None);
        foreach (RepositoryPolicy policy in said)
        {
            await own.SetAsync(policy, None);
        }
    }

    private async Task<PolicyStore> OpenAsync(string server)
    {
        PostgresStore store = await PostgresStore.OpenAsync(
            PostgresCluster.Parse(await (address ??= NewDatabaseAsync())), server, TimeProvider.System,
            NullLogger<PostgresStore>.Instance, None);
        stores.Add(store);
        return await SharedPolicies.OpenAsync(
            store, SecretKeys.LoadOrCreate(folder["secrets.key"]), folder["secrets.key"], FileOf(server),
            NullLogger.Instance, None);
    }

    private async Task<string> NewDatabaseAsync() => await (await postgres.Cluster).NewDatabaseAsync();
}
