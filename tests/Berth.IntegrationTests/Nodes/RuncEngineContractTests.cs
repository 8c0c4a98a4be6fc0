using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Engines;
using Berth.Oci.Layers;
using Berth.Testing.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

[Collection("containers")]
public sealed class RuncEngineContractTests : EngineContract, IAsyncLifetime
{
    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;
    private readonly BusyboxImages images;
    private readonly NodeOptions options;
    private readonly RuncEngine engine;

    public RuncEngineContractTests()
    {
        images = new BusyboxImages(folder);
        options = new NodeOptions("contract", NodeOptions.InstanceOf(folder));
        engine = new RuncEngine(options, TimeProvider.System, NullLogger<RuncEngine>.Instance);
    }

    protected override IEngine Engine => engine;

    protected override SandboxSpec Sandbox => new(images.Plain, NodeFixture.Limits, NetworkMode.None);

    public async ValueTask InitializeAsync() => await engine.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync();
        images.Dispose();
        Assert.Empty(HostTraces.Of(options.Instance));
    }

    protected override Task<ImageHandle> OpenImageAsync() => images.OpenAsync(images.Plain, CancellationToken.None);
}
