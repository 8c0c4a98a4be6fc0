using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Networks;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Nodes;
using Berth.Server.Secrets;
using Berth.Server.Store;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Testing.Store;

/// <summary>What every store promises of records that are kept as a whole: containers, functions, secrets, triggers.
/// </summary>
public abstract class StoreRecordContract : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    private IRunStore store = null!;

    private IContainerStore Containers => (IContainerStore)store;

    private IFunctionStore Functions => (IFunctionStore)store;

    private ISecretStore Secrets => (ISecretStore)store;

    private ITriggerStore Triggers => (ITriggerStore)store;

    private INodeStore Nodes => (INodeStore)store;

    public async ValueTask InitializeAsync() => store = await OpenAsync();

    public virtual async ValueTask DisposeAsync()
    {
        await store.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Opens the store of this test; a second call opens the same one again.</summary>
    protected abstract Task<IRunStore> OpenAsync();

    [Fact]
    public async Task A_container_is_found_as_it_was_until_it_is_deleted()
    {
        Container first = NewContainer("web");
        await Containers.AddAsync(first, None);
        Container changed = first with { Name = "site", Restarts = 3 };
        await Containers.SaveAsync(changed, None);
        await store.DisposeAsync();
        store = await OpenAsync();

        Assert.Equivalent(changed, Assert.Single(await Containers.AllContainersAsync(None)), strict: true);
        await Containers.DeleteAsync(first.Id, None);
        await Containers.DeleteAsync(first.Id, None);
        Assert.Empty(await Containers.AllContainersAsync(None));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_network_is_found_as_it_was_until_it_is_deleted(bool isEncrypted)
    {
        DateTimeOffset made = new(2026, 11, 22, 7, 44, 43, TimeSpan.Zero);
        NetworkDefinition definition = new(
            "0123456789ab", "shop", System.Net.IPNetwork.Parse("10.20.0.0/24"), true, 1400, "deny:0.0.0.0/0");
        Network network = new(definition, "somebody", made, new Dictionary<string, string> { ["a"] = "b" }, 0x1a2b3c)
        {
            Leases = [new SubnetLease("one", 0, "192.168.7.1", isEncrypted ? "key:7072" : null), new("two", 5)],
            IsEncrypted = isEncrypted,
        };
        INetworkStore networks = (INetworkStore)store;
        await networks.PutAsync(network, None);
        await store.DisposeAsync();
        store = await OpenAsync();
        networks = (INetworkStore)store;

        Network read = Assert.Single(await networks.AllNetworksAsync(None));
        Assert.Equal((definition, "somebody", made), (read.Definition, read.Owner, read.CreatedAt));
        Assert.Equal(network.Labels, read.Labels);
        Assert.Equal((0x1a2b3c, isEncrypted), (read.Segment, read.IsEncrypted));
        Assert.Equal(network.Leases, read.Leases);
        await networks.DeleteNetworkAsync(network.Id, None);
        await networks.DeleteNetworkAsync(network.Id, None);
        Assert.Empty(await networks.AllNetworksAsync(None));
    }

    [Fact]
    public async Task A_volume_is_one_machines_until_it_is_forgotten()
    {
        Volume pages = new("pages", "worker-1", new(2026, 11, 22, 7, 44, 43, TimeSpan.Zero), "somebody");
        IVolumeStore volumes = (IVolumeStore)store;
        Assert.Empty(await volumes.AllVolumesAsync(None));
        await volumes.PutVolumeAsync(pages with { Node = null }, None);
        Assert.Null(Assert.Single(await volumes.AllVolumesAsync(None)).Node);
        await volumes.PutVolumeAsync(pages, None);
        await store.DisposeAsync();
        store = await OpenAsync();
        volumes = (IVolumeStore)store;

        Assert.Equal([pages], await volumes.AllVolumesAsync(None));
        await volumes.DeleteVolumeAsync("pages", None);
        await volumes.DeleteVolumeAsync("pages", None);
        Assert.Empty(await volumes.AllVolumesAsync(None));
    }

    [Fact]
    public async Task A_name_is_one_containers_only()
    {
        Container web = NewContainer("web");
        Container other = NewContainer("other");
        await Containers.AddAsync(web, None);
        await Containers.AddAsync(other, None);

        BerthException added = await Assert.ThrowsAsync<BerthException>(
            () => Containers.AddAsync(NewContainer("web"), None));
        BerthException renamed = await Assert.ThrowsAsync<BerthException>(
            () => Containers.SaveAsync(other with { Name = "web" }, None));

        Assert.Equal((ErrorCode.Conflict, ErrorCode.Conflict), (added.Code, renamed.Code));
        Assert.Contains(web.Id.Text, added.Message, StringComparison.Ordinal);
        Assert.Equal(["other", "web"], (await Containers.AllContainersAsync(None)).Select(c => c.Name).Order());
        Assert.Equal(["other", "web"], (await Containers.ContainersOfAllAsync(None)).Select(c => c.Name).Order());
    }

    [Fact]
    public async Task A_container_that_is_not_there_is_not_saved()
    {
        await Containers.SaveAsync(NewContainer("web"), None);

        Assert.Empty(await Containers.AllContainersAsync(None));
    }

    [Fact]
    public async Task A_function_replaces_what_has_its_name()
    {
        await Functions.PutAsync(NewFunction("resize", "one"), None);
        await Functions.PutAsync(NewFunction("resize", "two"), None);
        await Functions.PutAsync(NewFunction("other", "one"), None);
        await Functions.DeleteFunctionAsync("other", None);
        await Functions.DeleteFunctionAsync("other", None);

        Assert.Equivalent(
            NewFunction("resize", "two"), Assert.Single(await Functions.AllFunctionsAsync(None)), strict: true);
    }

    [Fact]
    public async Task A_secret_replaces_what_has_its_name()
    {
        SecretRecord secret = new("db", 1, 2, [0, 1, 255], 3, Noon, Noon, "admin");
        await Secrets.PutAsync(secret, None);
        await Secrets.PutAsync(secret with { Version = 2, Sealed = [7] }, None);
        await Secrets.PutAsync(secret with { Name = "other" }, None);
        await Secrets.DeleteSecretAsync("other", None);

        Assert.Equivalent(
            secret with { Version = 2, Sealed = [7] }, Assert.Single(await Secrets.AllSecretsAsync(None)),
            strict: true);
    }

    [Fact]
    public async Task A_firing_is_remembered_once_for_its_key_and_a_run_never_forgotten()
    {
        Trigger trigger = NewTrigger("nightly");
        await Triggers.PutAsync(trigger, Noon, None);
        RunId run = RunId.New(Noon);
        Firing failed = new(trigger.Id, "k", Noon, FiringOutcome.Failed, null, "why");
        Firing fired = new(trigger.Id, "k", Noon.AddSeconds(1), FiringOutcome.Fired, run, null);

        await Triggers.RecordAsync(failed, Noon.AddMinutes(1), null, None);
        await Triggers.RecordAsync(fired, Noon.AddMinutes(2), ("/a", "1"), None);
        await Triggers.RecordAsync(failed, null, ("/b", "2"), None);

        Assert.Equal(fired, Assert.Single(await Triggers.FiringsAsync(trigger.Id, 10, None)));
        Assert.Equal(Noon.AddMinutes(2), Assert.Single(await Triggers.AllTriggersAsync(None)).Seen);
        Assert.Equal(
            [("/a", "1"), ("/b", "2")],
            (await Triggers.FilesAsync(trigger.Id, None)).Select(file => (file.Key, file.Value)).Order());
        await Triggers.ForgetAsync(trigger.Id, ["/a"], None);
        Assert.Equal(["/b"], (await Triggers.FilesAsync(trigger.Id, None)).Keys);
    }

    [Fact]
    public async Task Of_firings_the_newest_are_kept()
    {
        Trigger trigger = NewTrigger("nightly");
        await Triggers.PutAsync(trigger, Noon, None);
        for (int i = 0; i < Firing.Kept + 5; i++)
        {
            await Triggers.RecordAsync(
                new Firing(trigger.Id, $"{i}", Noon, FiringOutcome.Skipped, null, null), null, null, None);
        }

        IReadOnlyList<Firing> kept = await Triggers.FiringsAsync(trigger.Id, 1000, None);

        Assert.Equal(Firing.Kept, kept.Count);
        Assert.Equal(($"{Firing.Kept + 4}", "5"), (kept[0].Key, kept[^1].Key));
    }

    [Fact]
    public async Task What_is_remembered_of_a_trigger_goes_with_it()
    {
        Trigger first = NewTrigger("nightly");
        Trigger second = NewTrigger("nightly");
        await Triggers.PutAsync(first, Noon, None);
        await Triggers.RecordAsync(
            new Firing(first.Id, "k", Noon, FiringOutcome.Failed, null, "why"), null, ("/a", "1"), None);

        await Triggers.PutAsync(second, Noon.AddDays(1), None);

        Assert.Equal((second.Id, Noon.AddDays(1)), Only(await Triggers.AllTriggersAsync(None)));
        Assert.Empty(await Triggers.FiringsAsync(first.Id, 10, None));
        Assert.Empty(await Triggers.FilesAsync(first.Id, None));
        await Triggers.DeleteTriggerAsync(second, None);
        await Triggers.RecordAsync(
            new Firing(second.Id, "k", Noon, FiringOutcome.Failed, null, "why"), Noon, ("/a", "1"), None);
        Assert.Empty(await Triggers.AllTriggersAsync(None));
        Assert.Empty(await Triggers.FiringsAsync(second.Id, 10, None));
        Assert.Empty(await Triggers.FilesAsync(second.Id, None));

        static (RunId, DateTimeOffset) Only(IReadOnlyList<(Trigger Trigger, DateTimeOffset Seen)> all) =>
            (Assert.Single(all).Trigger.Id, all[0].Seen);
    }

    [Fact]
    public async Task A_node_is_found_as_it_was_until_it_is_removed()
    {
        NodeRecord joined = await JoinAsync("token-1", "worker");
        NodeRecord changed = await Nodes.PutNodeAsync(
            joined with { IsCordoned = true, Taints = ["gpu"], SeenAt = Noon }, None);
        await store.DisposeAsync();
        store = await OpenAsync();

        NodeRecord found = Assert.Single(await Nodes.AllNodesAsync(None));
        Assert.Equivalent(changed, found, strict: true);
        await Nodes.DeleteNodeAsync("worker", None);
        await Nodes.DeleteNodeAsync("worker", None);
        Assert.Empty(await Nodes.AllNodesAsync(None));
    }

    [Fact]
    public async Task A_removed_node_may_join_again_under_its_name()
    {
        await JoinAsync("token-1", "worker");
        await Nodes.DeleteNodeAsync("worker", None);

        NodeRecord again = await JoinAsync("token-2", "worker");

        Assert.Equivalent(again, Assert.Single(await Nodes.AllNodesAsync(None)), strict: true);
        NodeRecord changed = await Nodes.PutNodeAsync(again with { IsCordoned = true }, None);
        Assert.True(Assert.Single(await Nodes.AllNodesAsync(None)).IsCordoned);
        Assert.Equal(again.Name, changed.Name);
    }

    [Fact]
    public async Task A_token_lets_one_node_join_whoever_is_first()
    {
        await Nodes.AddJoinTokenAsync(NewToken("token-1"), Noon, None);

        NodeRecord?[] joined = await Task.WhenAll(
            Enumerable.Range(0, 8).Select(i => Nodes.JoinAsync("token-1", NewNode($"worker-{i}"), None)));

        NodeRecord first = Assert.Single(joined, n => n is not null)!;
        Assert.Equal(first.Name, Assert.Single(await Nodes.AllNodesAsync(None)).Name);
        Assert.Equal(first.Name, (await Nodes.FindJoinTokenAsync("token-1", None))!.UsedBy);
        Assert.Null(await Nodes.JoinAsync("no-such-token", NewNode("other"), None));
    }

    [Fact]
    public async Task A_token_is_kept_until_its_end_and_dropped_with_the_next()
    {
        JoinTokenRecord old = NewToken("old");
        await Nodes.AddJoinTokenAsync(old, Noon, None);
        Assert.Equivalent(old, await Nodes.FindJoinTokenAsync("old", None), strict: true);

        await Nodes.AddJoinTokenAsync(NewToken("new"), Noon + TimeSpan.FromHours(2), None);

        Assert.Null(await Nodes.FindJoinTokenAsync("old", None));
        Assert.NotNull(await Nodes.FindJoinTokenAsync("new", None));
    }

    [Fact]
    public async Task A_token_that_was_taken_back_lets_nobody_join()
    {
        await Nodes.AddJoinTokenAsync(NewToken("taken"), Noon, None);

        bool first = await Nodes.DeleteJoinTokenAsync("taken", None);
        bool second = await Nodes.DeleteJoinTokenAsync("taken", None);

        Assert.Equal((true, false), (first, second));
        Assert.Null(await Nodes.JoinAsync("taken", NewNode("worker"), None));
        Assert.Null(await Nodes.FindJoinTokenAsync("taken", None));
        Assert.Empty(await Nodes.AllNodesAsync(None));
    }

    [Fact]
    public async Task Tokens_are_listed_the_newest_first_with_who_used_them()
    {
        await JoinAsync("older", "worker");
        JoinTokenRecord newer = NewToken("newer") with { CreatedAt = Noon + TimeSpan.FromMinutes(1) };
        await Nodes.AddJoinTokenAsync(newer, Noon, None);

        IReadOnlyList<JoinTokenRecord> tokens = await Nodes.AllJoinTokensAsync(None);

        Assert.Equal([("newer", null), ("older", "worker")], tokens.Select(t => (t.Id, t.UsedBy)));
        Assert.Equivalent(NewToken("older") with { UsedBy = "worker" }, tokens[1], strict: true);
    }

    private static DateTimeOffset Noon { get; } = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    private static JoinTokenRecord NewToken(string id) => new(id, "00ff", Noon, Noon + TimeSpan.FromHours(1), "admin");

    private static NodeRecord NewNode(string name) => new(
        name, ["ab12"], Noon, Noon + TimeSpan.FromDays(30), new Dictionary<string, string> { ["zone"] = "cellar" }, [],
        IsCordoned: false);

    private async Task<NodeRecord> JoinAsync(string token, string name)
    {
        await Nodes.AddJoinTokenAsync(NewToken(token), Noon, None);
        return (await Nodes.JoinAsync(token, NewNode(name), None))!;
    }

    private static Container NewContainer(string name) => Container.New(
        ContainerId.New(), name, ContainerSpec.For("demo/web:1", Image), "admin", Noon);

    private static Function NewFunction(string name, string caller) => FunctionSteps.Create(
        name, new FunctionSpec(Spec(), PassArguments: false, MaxRunning: 0, FunctionSpec.DefaultMaxWaiting), caller,
        Noon);

    private static Trigger NewTrigger(string name) =>
        new(RunId.New(Noon), name, "resize", IsPaused: false, Noon, "admin", Events: null, Upload: new("files", ""));
}
