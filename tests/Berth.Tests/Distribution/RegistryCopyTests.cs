using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Distribution;
using Berth.Testing.Registry;
using Xunit;

namespace Berth.Tests.Distribution;

/// <summary>
/// Copies between a local store and this project's own registry, over real sockets with its token flow.
/// </summary>
public sealed class RegistryCopyTests : IAsyncLifetime
{
    private readonly StoreRig local = new();
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await local.DisposeAsync();
        await registry.DisposeAsync();
    }

    [Fact]
    public async Task An_image_is_pushed_and_pulled_again_ready_to_run()
    {
        Digest digest = await local.PackAsync(
            "app", "1", local.MakeOptions("app", ("f", new string('x', 3_000_000))), Stop);
        using RegistryConnection connection = Connect(FakeAuthorizer.Admin);
        await new ImageCopier(local.Repository("app"), connection.Repository("demo/app"), new CopyOptions())
            .CopyAsync("1", "latest", Stop);
        await using var other = new StoreRig();
        var steps = new ConcurrentQueue<CopyStep>();
        var options = new CopyOptions(
            PlatformChoice.Here, (layer, diffId, stop) =>
                other.Layers.EnsureUnpackedAsync(layer, diffId, stop), steps.Enqueue);

        Digest pulled = await new ImageCopier(connection.Repository("demo/app"), other.Repository("app"), options)
            .CopyAsync("latest", "latest", Stop);

        Assert.Equal(digest, pulled);
        Assert.Contains(steps, s => s.Phase == CopyPhase.Unpacked);
        Assert.Equal(CopyPhase.Published, steps.Last().Phase);
        using ImageHandle image = await other.Images.OpenAsync(pulled, Stop);
        Assert.Single(image.LayerPaths);
    }

    [Fact]
    public async Task What_is_there_is_not_sent_again()
    {
        await local.PackAsync("app", "1", local.MakeOptions("app", ("f", "x")), Stop);
        using RegistryConnection connection = Connect(FakeAuthorizer.Admin);
        var steps = new ConcurrentQueue<CopyStep>();
        var copier = new ImageCopier(
            local.Repository("app"), connection.Repository("demo"), new CopyOptions(Progress: steps.Enqueue));
        await copier.CopyAsync("1", "a", Stop);
        steps.Clear();

        await copier.CopyAsync("1", "b", Stop);

        Assert.Equal([CopyPhase.Present, CopyPhase.Present, CopyPhase.Published], steps.Select(s => s.Phase));
    }

    [Fact]
    public async Task Wrong_credentials_are_named()
    {
        await local.PackAsync("app", "1", local.MakeOptions("app", ("f", "x")), Stop);
        using RegistryConnection connection = Connect("wrong");

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => new ImageCopier(local.Repository("app"), connection.Repository("demo"), new CopyOptions())
                .CopyAsync("1", "1", Stop));

        Assert.Equal(ErrorCode.Unauthorized, refusal.Code);
    }

    [Fact]
    public async Task An_unknown_image_is_named()
    {
        using RegistryConnection connection = Connect(FakeAuthorizer.Admin);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => connection.Repository("demo/none").GetManifestAsync("1", Stop));

        Assert.Equal(ErrorCode.ImageNotFound, refusal.Code);
        Assert.Contains("demo/none '1'", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_registry_that_is_not_there_is_named()
    {
        using var connection = new RegistryConnection(new Uri("http://127.0.0.1:1/"), null, TimeProvider.System);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => connection.Repository("demo").GetManifestAsync("1", Stop));

        Assert.Equal(ErrorCode.Upstream, refusal.Code);
        Assert.Contains("127.0.0.1:1 can't be reached", refusal.Message, StringComparison.Ordinal);
    }

    private RegistryConnection Connect(string token) =>
        new(new Uri($"http://{registry.Host}/"), new RegistryCredentials("anyone", token), TimeProvider.System);
}
