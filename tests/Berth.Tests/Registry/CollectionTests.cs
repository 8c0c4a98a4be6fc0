using System.Net;
using System.Text;
using Berth.Core.Images;
using Berth.Oci.Layers;
using Berth.Registry.Collection;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

/// <summary>What the garbage collector takes and what it must not.</summary>
public sealed class CollectionTests : IAsyncLifetime
{
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync();

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task What_a_manifest_names_stays_and_what_nobody_names_goes()
    {
        byte[] kept = await registry.Client.PushImageAsync("demo", "kept", "kept layer");
        byte[] dropped = await registry.Client.PushImageAsync("demo", "dropped", "dropped layer");
        await registry.Client.PushBlobAsync("demo", "loose"u8.ToArray());
        byte[] index = Index(kept);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(
            "demo", "multi", index, "application/vnd.oci.image.index.v1+json");
        using HttpResponseMessage deleted =
            await registry.Client.DeleteAsync($"/v2/demo/manifests/{Digest.Sha256(dropped)}", Stop);
        registry.Time.Advance(2 * Hour);

        CollectionReport report = await CollectAsync();

        // The dropped manifest, its configuration and its layer, and the loose blob.
        Assert.Equal(4, report.Blobs);
        Assert.Equal(3, report.Links);
        Assert.Null(registry.Content.SizeOf(Digest.Sha256("dropped layer"u8)));
        Assert.Equal(index, await registry.Client.GetByteArrayAsync("/v2/demo/manifests/multi", Stop));
        Assert.Equal("kept layer"u8.ToArray(), await registry.Client.GetByteArrayAsync(
            $"/v2/demo/blobs/{Digest.Sha256("kept layer"u8)}", Stop));
        Assert.Equal(0, (await CollectAsync()).Blobs);
    }

    [Fact]
    public async Task What_was_pushed_or_promised_lately_or_is_leased_stays()
    {
        Digest old = await registry.Client.PushBlobAsync("demo", "old"u8.ToArray());
        Digest asked = await registry.Client.PushBlobAsync("demo", "asked"u8.ToArray());
        Digest mounted = await registry.Client.PushBlobAsync("demo", "mounted"u8.ToArray());
        Digest leased = await registry.Client.PushBlobAsync("demo", "leased"u8.ToArray());
        registry.Time.Advance(2 * Hour);
        Digest fresh = await registry.Client.PushBlobAsync("demo", "fresh"u8.ToArray());
        using HttpRequestMessage head = new(HttpMethod.Head, $"/v2/demo/blobs/{asked}");
        using HttpResponseMessage told = await registry.Client.SendAsync(head, Stop);
        using HttpResponseMessage mount =
            await registry.Client.PostAsync($"/v2/other/blobs/uploads/?mount={mounted}&from=demo", null, Stop);
        using IDisposable lease = registry.Content.Lease(leased);

        await CollectAsync();

        Digest[] left = [.. registry.Content.Enumerate().Select(b => b.Digest)];
        Assert.Equal(
            new[] { asked, mounted, leased, fresh }.Select(d => d.Text).Order(), left.Select(d => d.Text).Order());
        Assert.DoesNotContain(old, left);
    }

    [Fact]
    public async Task What_a_container_runs_stays_though_its_last_name_is_gone()
    {
        byte[] image = await registry.Client.PushImageAsync("demo", "v1", "container layer");
        byte[] other = await registry.Client.PushImageAsync("demo", "v2", "other layer");
        FakeLayers layers = new(registry.Time.GetUtcNow());
        layers.Add(Digest.Sha256("container layer"u8));
        foreach (byte[] manifest in (byte[][])[image, other])
        {
            using HttpResponseMessage deleted = await registry.Client.DeleteAsync(
                $"/v2/demo/manifests/{Digest.Sha256(manifest)}", Stop);
        }

        registry.Time.Advance(2 * Hour);
        using (GarbageCollector holding = registry.Collector(
            Hour, layers, [Digest.Sha256(image), Digest.Sha256("never pushed"u8)]))
        {
            await holding.CollectAsync(Stop);
        }

        Assert.NotNull(registry.Content.SizeOf(Digest.Sha256(image)));
        Assert.NotNull(registry.Content.SizeOf(Digest.Sha256("container layer"u8)));
        Assert.Null(registry.Content.SizeOf(Digest.Sha256("other layer"u8)));
        using GarbageCollector afterwards = registry.Collector(Hour, layers);
        await afterwards.CollectAsync(Stop);
        Assert.Null(registry.Content.SizeOf(Digest.Sha256("container layer"u8)));
    }

    [Fact]
    public async Task Unpacked_layers_of_images_that_are_gone_go_too()
    {
        await registry.Client.PushImageAsync("demo", "kept", "kept layer");
        FakeLayers layers = new(registry.Time.GetUtcNow());
        layers.Add(Digest.Sha256("kept layer"u8));
        layers.Add(Digest.Sha256("gone layer"u8));
        layers.Add(Digest.Sha256("running layer"u8), held: true);
        registry.Time.Advance(2 * Hour);

        using GarbageCollector collector = registry.Collector(Hour, layers);
        CollectionReport report = await collector.CollectAsync(Stop);

        Assert.Equal(1, report.Layers);
        Assert.Equal([Digest.Sha256("gone layer"u8)], layers.Collected);
    }

    [Fact]
    public async Task Pushes_and_deletions_during_collection_lose_nothing()
    {
        // Time stands still between pushes, so with a grace of a millisecond everything older than the push at hand is
        // fair game for the collector that runs all the while.
        using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        using GarbageCollector collector = registry.Collector(TimeSpan.FromMilliseconds(1));
        Task<int> collecting = Task.Run(
            async () =>
            {
                int passes = 0;
                for (; !done.IsCancellationRequested; passes++)
                {
                    await collector.CollectAsync(Stop);
                }

                return passes;
            },
            Stop);

        for (int round = 0; round < 60; round++)
        {
            // Layers repeat every other round: the blob exists, unreferenced and old, or is being collected.
            string layer = $"layer {round % 2}";
            byte[] manifest = await PushAsClientsDoAsync("demo", "v1", layer);
            Assert.Equal(manifest, await registry.Client.GetByteArrayAsync("/v2/demo/manifests/v1", Stop));
            Digest digest = Digest.Sha256(Encoding.UTF8.GetBytes(layer));
            Assert.Equal(layer, await registry.Client.GetStringAsync($"/v2/demo/blobs/{digest}", Stop));
            using HttpResponseMessage deleted =
                await registry.Client.DeleteAsync($"/v2/demo/manifests/{Digest.Sha256(manifest)}", Stop);
            await ExpectAsync(HttpStatusCode.Accepted, deleted);
            registry.Time.Advance(TimeSpan.FromSeconds(1));
        }

        await done.CancelAsync();
        Assert.True(await collecting > 1, "the collector ran alongside");
    }

    private async Task<byte[]> PushAsClientsDoAsync(string repository, string tag, string content)
    {
        byte[] layer = Encoding.UTF8.GetBytes(content);
        byte[] config = Encoding.UTF8.GetBytes("""{"architecture":"amd64","os":"linux","config":{}}""");
        foreach (byte[] blob in (byte[][])[layer, config])
        {
            using HttpRequestMessage ask = new(HttpMethod.Head, $"/v2/{repository}/blobs/{Digest.Sha256(blob)}");
            using HttpResponseMessage told = await registry.Client.SendAsync(ask, Stop);
            if (told.StatusCode == HttpStatusCode.NotFound)
            {
                await registry.Client.PushBlobAsync(repository, blob);
            }
        }

        byte[] manifest = Manifest(config, layer);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(repository, tag, manifest);
        await ExpectAsync(HttpStatusCode.Created, put);
        return manifest;
    }

    private async Task<CollectionReport> CollectAsync()
    {
        using GarbageCollector collector = registry.Collector(Hour);
        return await collector.CollectAsync(Stop);
    }

    private sealed class FakeLayers(DateTimeOffset usedAt) : ICollectableLayers
    {
        private readonly Dictionary<Digest, bool> layers = [];

        public List<Digest> Collected { get; } = [];

        public void Add(Digest diffId, bool held = false) => layers[diffId] = held;

        public IEnumerable<UnpackedLayer> Enumerate() => layers.Keys.Select(d => new UnpackedLayer(d, usedAt));

        public IReadOnlySet<Digest> Held() => layers.Where(l => l.Value).Select(l => l.Key).ToHashSet();

        public bool TryCollect(Digest diffId, DateTimeOffset unusedSince)
        {
            Assert.True(usedAt < unusedSince, "the layer is older than the grace period");
            Collected.Add(diffId);
            return true;
        }
    }
}
