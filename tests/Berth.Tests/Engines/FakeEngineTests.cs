using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Node.Engines;
using Berth.Oci.Layers;
using Berth.Testing.Engines;
using Xunit;

namespace Berth.Tests.Engines;

public sealed class FakeEngineTests : EngineContract, IAsyncLifetime
{
    private readonly FakeEngine engine = new(TimeProvider.System);
    private readonly NoImages images = new();

    protected override IEngine Engine => engine;

    protected override SandboxSpec Sandbox { get; } =
        new(Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None);

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await engine.DisposeAsync();

    protected override Task<ImageHandle> OpenImageAsync() => images.OpenAsync(Sandbox.Image, CancellationToken.None);
}
