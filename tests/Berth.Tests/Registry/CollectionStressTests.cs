using System.Net;
using System.Text;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Registry.Collection;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

/// <summary>
/// Pushes, mounts, pulls and deletions by several clients at once, over layers that they share, while the collector
/// runs without a pause. Between rounds the grace passes, so that in each round everything that nobody names is fair
/// game while the same blobs are pushed again.
/// </summary>
public sealed class CollectionStressTests : IAsyncLifetime
{
    private const int Rounds = 12;
    private const int Clients = 4;

    private static readonly TimeSpan Grace = TimeSpan.FromHours(1);

    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync();

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task No_push_fails_and_nothing_that_is_named_goes_while_the_collector_runs()
    {
        byte[] kept = await registry.Client.PushImageAsync("kept", "v1", "layer 0");
        using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        using GarbageCollector collector = registry.Collector(Grace);
        Task<int> collecting = CollectAsync(collector, done.Token);
        byte[]?[] held = new byte[Clients][];

        for (int round = 0; round < Rounds; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, Clients).Select(
                async client => held[client] = await ClientAsync(client, round, held[client])));
            await PullAsync("kept", kept);
            registry.Time.Advance(2 * Grace);
        }

        await done.CancelAsync();
        Assert.True(await collecting > 1, "the collector ran alongside");
        await collector.CollectAsync(Stop);
        await ExpectExactlyAsync([("kept", kept), .. held.Select((m, i) => (RepositoryOf(i), m!))]);
    }

    private static string RepositoryOf(int client) => $"team/r{client % 2}";

    private async Task<int> CollectAsync(GarbageCollector collector, CancellationToken stop)
    {
        await Task.Yield();
        int passes = 0;
        for (; !stop.IsCancellationRequested; passes++)
        {
            await collector.CollectAsync(Stop);
        }

        return passes;
    }

    /// <summary>One round of one client: what it pushed before goes, and comes again with other layers.</summary>
    private async Task<byte[]> ClientAsync(int client, int round, byte[]? before)
    {
        string repository = RepositoryOf(client);
        if (before is not null && round % 3 == 1)
        {
            using HttpResponseMessage deleted = await registry.Client.DeleteAsync(
                $"/v2/{repository}/manifests/{Digest.Sha256(before)}", Stop);
            await ExpectAsync(HttpStatusCode.Accepted, deleted);
        }

        byte[] config = Encoding.UTF8.GetBytes(
            $$$"""{"architecture":"amd64","os":"linux","config":{"Env":["BY={{{client}}}","ROUND={{{round}}}"]}}""");
        byte[][] layers = [Layer(round % 2), Layer(2 + ((client + round) % 3))];
        foreach (byte[] blob in (byte[][])[config, .. layers])
        {
            await SendAsync(repository, blob, mount: (client + round) % 3 == 0);
        }

        byte[] manifest = JsonSerializer.SerializeToUtf8Bytes(
            new ImageManifest(
                2, MediaTypes.OciManifest,
                new Descriptor(MediaTypes.OciConfig, Digest.Sha256(config).Text, config.Length),
                [.. layers.Select(l => new Descriptor(MediaTypes.OciLayer, Digest.Sha256(l).Text, l.Length))]),
            OciJson.Default.ImageManifest);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(repository, $"c{client}", manifest);
        await ExpectAsync(HttpStatusCode.Created, put);
        await PullAsync(repository, manifest);
        if (before is not null && round % 3 != 1)
        {
            using HttpResponseMessage deleted = await registry.Client.DeleteAsync(
                $"/v2/{repository}/manifests/{Digest.Sha256(before)}", Stop);
            await ExpectAsync(HttpStatusCode.Accepted, deleted);
        }

        return manifest;
    }

    private static byte[] Layer(int number) => Encoding.UTF8.GetBytes($"layer {number} {new string('x', 5000)}");

    /// <summary>As clients do: what the registry says it has is not sent.</summary>
    private async Task SendAsync(string repository, byte[] blob, bool mount)
    {
        Digest digest = Digest.Sha256(blob);
        using HttpRequestMessage ask = new(HttpMethod.Head, $"/v2/{repository}/blobs/{digest}");
        using HttpResponseMessage told = await registry.Client.SendAsync(ask, Stop);
        if (told.StatusCode == HttpStatusCode.OK)
        {
            return;
        }

        if (mount)
        {
            using HttpResponseMessage mounted = await registry.Client.PostAsync(
                $"/v2/{repository}/blobs/uploads/?mount={digest}", null, Stop);
            if (mounted.StatusCode == HttpStatusCode.Created)
            {
                return;
            }
        }

        await registry.Client.PushBlobAsync(repository, blob);
    }

    private async Task PullAsync(string repository, byte[] manifest)
    {
        Assert.Equal(
            manifest,
            await registry.Client.GetByteArrayAsync($"/v2/{repository}/manifests/{Digest.Sha256(manifest)}", Stop));
        foreach (Descriptor blob in ManifestDocument.Parse(manifest, MediaTypes.OciManifest).Blobs)
        {
            byte[] bytes = await registry.Client.GetByteArrayAsync($"/v2/{repository}/blobs/{blob.Digest}", Stop);
            Assert.Equal(blob.Digest, Digest.Sha256(bytes));
        }
    }

    /// <summary>What is named is there, and nothing else is.</summary>
    private async Task ExpectExactlyAsync(IReadOnlyList<(string Repository, byte[] Manifest)> images)
    {
        HashSet<Digest> named = [];
        foreach ((string repository, byte[] manifest) in images)
        {
            await PullAsync(repository, manifest);
            named.Add(Digest.Sha256(manifest));
            named.UnionWith(ManifestDocument.Parse(manifest, MediaTypes.OciManifest).Blobs.Select(b => b.Digest));
        }

        registry.Time.Advance(2 * Grace);
        using GarbageCollector collector = registry.Collector(Grace);
        await collector.CollectAsync(Stop);
        Assert.Equal(
            named.Select(d => d.Text).Order(), registry.Content.Enumerate().Select(b => b.Digest.Text).Order());
    }
}
