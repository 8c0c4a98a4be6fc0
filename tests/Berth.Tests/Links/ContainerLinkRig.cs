using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Links;
using Berth.Server.Configuration;
using Berth.Testing.Content;
using Berth.Testing.Server;

namespace Berth.Tests.Links;

/// <summary>A server with links to nodes, for containers on them.</summary>
internal sealed class ContainerLinkRig : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly List<Cable> cables = [];
    private bool isServerGone;

    private ContainerLinkRig(LinkRig rig)
    {
        Rig0 = rig;
        Client = new BerthClient(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);
    }

    public LinkRig Rig0 { get; }

    public ServerRig Server => Rig0.Server;

    public BerthClient Client { get; }

    public static async Task<ContainerLinkRig> StartAsync(
        Func<ServerOptions, ServerOptions>? with = null, TemporaryFolder? folder = null, TimeProvider? time = null) =>
        new(await LinkRig.StartAsync(with, folder, time));

    public Task<Cable> CableAsync()
    {
        Cable cable = new(Rig0.NodeAddress);
        cables.Add(cable);
        return Task.FromResult(cable);
    }

    public async Task<JoinedNode> JoinAsync(
        string name, Cable? cable = null, int version = LinkProtocol.Version, IReadOnlyList<string>? offers = null)
    {
        JoinedNode node = await Rig0.JoinAsync(name, offers: offers, cable: cable, version: version);
        await Rig0.UntilAsync(name, n => n.State == "ready");
        return node;
    }

    public async Task<ContainerView> RunAsync(
        string name, string[] command, string? constraint = null, string? restart = null, bool openInput = false,
        IReadOnlyList<MountView>? mounts = null)
    {
        await Client.Containers.CreateAsync(
            new ContainerRequest(
                ServerRig.Image, name, command, Restart: restart, OpenInput: openInput, Mounts: mounts,
                Constraints: constraint is null ? null : [constraint]),
            CancellationToken.None);
        return await Client.Containers.StartAsync(name, CancellationToken.None);
    }

    public async Task<ContainerView> UntilAsync(string name, Func<ContainerView, bool> wanted)
    {
        ContainerView view = null!;
        await ConditionAsync(
            $"{name} is as wanted",
            async () => wanted(view = await Client.Containers.GetAsync(name, CancellationToken.None)),
            () => view.ToString());
        return view;
    }

    public async Task ConditionAsync(string what, Func<Task<bool>> condition, Func<string>? seen = null)
    {
        using CancellationTokenSource limit = new(Patience);
        while (!await condition())
        {
            if (limit.IsCancellationRequested)
            {
                throw new TimeoutException($"Waited in vain until {what}. {seen?.Invoke()}");
            }

            await Task.Delay(10);
        }
    }

    public Task<KeptReport> KeptAsync(string node) =>
        Rig0.Rooms.Register.Get(node).Node!.KeptAsync(CancellationToken.None);

    public Task<string> LogAsync(string name) => Server.Client.GetStringAsync($"/v1/containers/{name}/logs");

    /// <summary>Which of two streams' lines came first nobody knows.</summary>
    public async Task<string> SortedLogAsync(string name) => string.Concat(
        (await LogAsync(name)).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Order(StringComparer.Ordinal).Select(l => l + "\n"));

    public async Task DisposeServerAsync()
    {
        isServerGone = true;
        await Server.DisposeAsync();
    }

    public Task DisposeClientAsync()
    {
        Client.Dispose();
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (!isServerGone)
        {
            await Rig0.DisposeAsync();
        }

        foreach (Cable cable in cables)
        {
            await cable.DisposeAsync();
        }
    }
}
