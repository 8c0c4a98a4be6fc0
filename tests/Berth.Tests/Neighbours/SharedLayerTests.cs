using System.Text;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Node.Neighbours;
using Berth.Oci.Content;
using Berth.Tests.Links;
using Xunit;

namespace Berth.Tests.Neighbours;

/// <summary>A server and nodes, some of which offer their layers.</summary>
public sealed class SharedLayerTests : IAsyncLifetime
{
    /// <summary>A tar of nothing.</summary>
    private static readonly byte[] Layer = new byte[10_240];

    private LinkRig rig = null!;
    private Digest image;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        rig = await LinkRig.StartAsync();
        ContentStore content = rig.Server.Server.Rooms.Content;
        Digest layer = await PutAsync(content, Layer);
        string config = $$$"""
            {"architecture":"amd64","os":"linux","config":{"Cmd":["cat"]},"rootfs":{"type":"layers",
            "diff_ids":["{{{layer}}}"]}}
            """;
        Digest configuration = await PutAsync(content, Encoding.UTF8.GetBytes(config));
        image = await PutAsync(content, Encoding.UTF8.GetBytes(
            $$$"""
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{
            "mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{{{layer}}}","size":{{{Layer.Length}}}}],
            "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{{{configuration}}}",
            "size":{{{Encoding.UTF8.GetByteCount(config)}}}}}
            """));
    }

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task A_node_has_layers_from_another_one_that_offers_them_and_that_is_shown()
    {
        JoinedNode first = await HolderAsync("first");
        JoinedNode second = await rig.JoinAsync("second");

        MachineView view = await FetchAsync("second");

        Assert.Equal(Layer.Length, second.Images.FromNeighbours);
        Assert.InRange(second.Images.FromOrigin, 1, Layer.Length - 1);
        Assert.Equal((0, Layer.Length), (first.Images.FromNeighbours, view.Load!.FetchedFromNeighboursBytes));
        Assert.Null(view.SharesLayers);
        Assert.StartsWith("127.0.0.1:", (await rig.SeeAsync("first")).SharesLayers, StringComparison.Ordinal);
        string line = $"berth_node_fetched_bytes_total{{from=\"neighbours\"}} {Layer.Length}\n";
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (!(await rig.Server.Client.GetStringAsync("/metrics", limit.Token))
            .Contains(line, StringComparison.Ordinal))
        {
            await Task.Delay(20, Token);
        }
    }

    [Fact]
    public async Task A_node_of_before_is_asked_by_nobody_and_asks_nobody()
    {
        await HolderAsync("first");
        JoinedNode old = await rig.JoinAsync("old", version: LinkProtocol.NeighboursVersion - 1, shares: true);
        await FetchAsync("old");

        Assert.Equal(0, old.Images.FromNeighbours);
        Assert.Null((await rig.SeeAsync("old")).SharesLayers);
        Assert.Null((await rig.SeeAsync("old")).Load!.FetchedFromNeighboursBytes);
    }

    [Fact]
    public async Task A_neighbour_that_has_gone_is_not_missed()
    {
        JoinedNode first = await HolderAsync("first");
        await rig.JoinAsync("second");
        await first.StopAsync();
        await rig.UntilAsync("first", n => n.State == "lost");

        await FetchAsync("second");

        Assert.Null((await rig.SeeAsync("first")).SharesLayers);
    }

    [Fact]
    public async Task A_node_that_is_removed_reads_nothing_at_others_and_one_that_is_there_what_they_hold()
    {
        await HolderAsync("first");
        JoinedNode second = await rig.JoinAsync("second");
        JoinedNode third = await rig.JoinAsync("third");
        await rig.UntilAsync("second", n => n.State == "ready");
        LayerOffer offer = rig.Rooms.Register.Get("first").Node!.Link.Sharing!;
        await rig.Rooms.Register.RemoveAsync("second", Token);
        Digest layer = Digest.Sha256(Layer);
        using Neighbour removed = new(offer, second.Identity, TimeProvider.System, static (_, _) => { });
        using Neighbour there = new(offer, third.Identity, TimeProvider.System, static (_, _) => { });

        Assert.Null(await removed.TryOpenAsync(layer, Token));
        await using Stream? read = await there.TryOpenAsync(layer, Token);

        Assert.NotNull(read);
        // Manifests and what else is kept there is not offered.
        Assert.Null(await there.TryOpenAsync(image, Token));
    }

    private static async Task<Digest> PutAsync(ContentStore content, byte[] bytes)
    {
        await using IBlobWriter writer = content.BeginWrite();
        await writer.WriteAsync(bytes, CancellationToken.None);
        return await writer.CommitAsync(null, CancellationToken.None);
    }

    private async Task<JoinedNode> HolderAsync(string name)
    {
        JoinedNode node = await rig.JoinAsync(name, shares: true);
        await FetchAsync(name);
        return node;
    }

    private async Task<MachineView> FetchAsync(string name)
    {
        await rig.UntilAsync(name, n => n is { State: "ready", Load: not null });
        rig.Rooms.Register.Get(name).Node!.Fetch(image);
        return await rig.UntilAsync(name, n => n.Load?.Images.Contains(image.Text) == true);
    }
}
