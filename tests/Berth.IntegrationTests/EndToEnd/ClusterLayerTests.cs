using System.Net.Http.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Nodes of one server that have layers from each other.</summary>
[Collection("containers")]
public sealed class ClusterLayerTests : ClusterTest
{
    /// <summary>A manifest and a configuration have less, the layer has more.</summary>
    private const int Small = 16 * 1024;

    [Fact]
    public async Task A_node_has_its_layers_from_another_and_without_that_one_from_the_server()
    {
        MachineProcess first = await Machines.AddAsync("first");
        await JoinAsync(first, "--share-layers", $"{first.Address}:7081");
        MachineProcess second = await JoinAsync("second");

        Assert.Equal("one", await RunAsync("first", "demo/busybox", "one"));
        MachineView giver = await UntilAsync(first, n => n.Load is { Images.Count: 1 });
        Assert.Equal("two", await RunAsync("second", "demo/busybox", "two"));
        MachineView taker = await UntilAsync(second, n => n.Load is { Images.Count: 1 });

        Assert.Equal($"{first.Address}:7081", giver.SharesLayers);
        Assert.Equal(0, giver.Load!.FetchedFromNeighboursBytes);
        long layer = taker.Load!.FetchedFromNeighboursBytes!.Value;
        Assert.True(layer > Small, $"{layer} bytes came from the neighbour; {second.Log}");
        Assert.InRange(taker.Load.FetchedFromServersBytes!.Value, 1, Small);
        Assert.Equal(
            giver.Load.FetchedFromServersBytes, layer + taker.Load.FetchedFromServersBytes);
        string nodes = (await Server.BerthAsync("node", "ls")).Succeed();
        Assert.Contains("shares layers", nodes, StringComparison.Ordinal);

        await first.KillAsync();
        await PackAsync("demo/other");
        Assert.Equal("three", await RunAsync("second", "demo/other", "three"));
        taker = await UntilAsync(second, n => n.Load is { Images.Count: 2 });

        Assert.Equal(layer, taker.Load!.FetchedFromNeighboursBytes);
        Assert.True(taker.Load.FetchedFromServersBytes > Small, $"{taker.Load}");
        // What a killed node leaves its next start removes.
        first.Join(NodeAddress);
        await UntilAsync(first, n => n is { State: "ready", SharesLayers: null });
    }

    private async Task<string> RunAsync(string node, string image, string word) =>
        (await Server.BerthAsync("run", "--constraint", $"node={node}", image, "echo", word)).Succeed();

    /// <summary>An image that no node has a layer of.</summary>
    private async Task PackAsync(string image)
    {
        string root = Path.Combine(Server.Folder, "other");
        Directory.CreateDirectory(root + "/bin");
        File.Copy("/bin/busybox", root + "/bin/busybox");
        File.CreateSymbolicLink(root + "/bin/echo", "busybox");
        await File.WriteAllTextAsync(root + "/other", "another layer");
        (await Server.BerthAsync("image", "pack", "-q", "-e", "PATH=/bin", image, root)).Succeed();
    }
}
