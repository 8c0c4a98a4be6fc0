using System.Net;
using System.Text;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Berth.Registry.Unpacking;
using Berth.Testing.Layers;
using Berth.Testing.Registry;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class UnpackOnPushTests : IAsyncLifetime
{
    private static readonly byte[] Base = new TarBuilder().File("base").Build();
    private static readonly byte[] Secret = new TarBuilder().File("secret", "of priv/a").Build();

    private TestRegistry registry = null!;
    private LayerStore layers = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        layers = new LayerStore(
            registry.Content, Path.Combine(registry.Folder, "layers"), LayerLimits.Default, TimeProvider.System);
        ImageCatalog catalog = new(registry.Repositories, registry.Content);
        registry.Observers.Add(
            new UnpackOnPush(catalog, layers, TimeProvider.System, NullLoggerFactory.Instance));
    }

    public async ValueTask DisposeAsync()
    {
        await layers.DisposeAsync();
        await registry.DisposeAsync();
    }

    [Fact]
    public async Task A_diff_id_of_another_image_s_layer_is_refused_for_another_blob()
    {
        using HttpResponseMessage honest = await PushAsync("priv/a", [Base, Secret], [Base, Secret]);
        await ExpectAsync(HttpStatusCode.Created, honest);

        using HttpResponseMessage stolen = await PushAsync(
            "evil/b", [Base, LayerRig.Gzip("garbage, not a tar"u8.ToArray())], [Base, Secret]);
        using HttpResponseMessage twice = await PushAsync(
            "evil/c", [Base, LayerRig.Gzip("garbage, not a tar"u8.ToArray())], [Base, Base]);

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID", stolen);
        await ExpectErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID", twice);
        Assert.Null(registry.Repositories.FindTag("evil/b", "v1"));
    }

    [Fact]
    public async Task One_layer_may_come_in_several_compressions()
    {
        using HttpResponseMessage plain = await PushAsync("demo", [Base, Secret], [Base, Secret]);
        using HttpResponseMessage packed = await PushAsync(
            "demo", [LayerRig.Gzip(Base), ZstdCompressor.Compress(Secret)], [Base, Secret]);

        await ExpectAsync(HttpStatusCode.Created, plain);
        await ExpectAsync(HttpStatusCode.Created, packed);
    }

    [Fact]
    public async Task What_could_not_be_run_here_is_refused_when_it_is_pushed()
    {
        byte[][] deep = [.. Enumerable.Repeat(Base, ImageConfigDocument.MaxLayers + 1)];

        using HttpResponseMessage most = await PushAsync("demo", deep[1..], deep[1..]);
        using HttpResponseMessage tooMany = await PushAsync("demo", deep, deep);
        using HttpResponseMessage unequal = await PushAsync("demo", [Base, Secret], [Base]);

        await ExpectAsync(HttpStatusCode.Created, most);
        await ExpectErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID", tooMany);
        Assert.Contains("it has 151 layers; at most 150", await tooMany.Content.ReadAsStringAsync(Stop));
        await ExpectErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID", unequal);
    }

    private async Task<HttpResponseMessage> PushAsync(string repository, byte[][] blobs, byte[][] claimed)
    {
        string diffIds = string.Join(',', claimed.Select(c => $"\"{Digest.Sha256(c)}\""));
        string processor = PlatformChoice.Here.Architecture;
        byte[] config = Encoding.UTF8.GetBytes(
            $$"""{"architecture":"{{processor}}","os":"linux","rootfs":{"type":"layers","diff_ids":[{{diffIds}}]"""
            + "}}");
        foreach (byte[] blob in blobs.Append(config))
        {
            await registry.Client.PushBlobAsync(repository, blob);
        }

        ImageManifest manifest = new(
            2, MediaTypes.OciManifest, Describe(MediaTypes.OciConfig, config),
            [.. blobs.Select(b => Describe(MediaTypes.OciLayer, b))]);
        return await registry.Client.PutManifestAsync(
            repository, "v1", JsonSerializer.SerializeToUtf8Bytes(manifest, OciJson.Default.ImageManifest));
    }

    private static Descriptor Describe(string mediaType, byte[] content) =>
        new(mediaType, Digest.Sha256(content).Text, content.Length);
}
