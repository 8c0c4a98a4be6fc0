using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Oci.Layers;
using Berth.Testing.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Sandboxes within an outer container are held to what every sandbox is.</summary>
[Collection("containers")]
public sealed class InnerSandboxContractTests : EngineContract, IAsyncLifetime
{
    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;
    private readonly BusyboxImages images;
    private readonly NodeOptions options;
    private readonly RuncEngine engine;

    public InnerSandboxContractTests()
    {
        images = new BusyboxImages(folder);
        options = new NodeOptions("contract", NodeOptions.InstanceOf(folder));
        engine = new RuncEngine(options, TimeProvider.System, NullLogger<RuncEngine>.Instance);
    }

    protected override IEngine Engine => engine;

    protected override SandboxSpec Sandbox =>
        new(images.Plain, NodeFixture.Limits, NetworkMode.None, Family: "contract");

    public async ValueTask InitializeAsync() => await engine.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync();
        images.Dispose();
        Assert.Empty(HostTraces.Of(options.Instance));
    }

    // All of them in the same place, one after the other.
    [Fact]
    public async Task What_one_wrote_counts_against_no_other()
    {
        using ImageHandle image = await OpenImageAsync();
        SandboxSpec spec = Sandbox with { Limits = NodeFixture.Limits with { WritableLayer = ByteSize.MiB(40) } };
        for (int i = 0; i < 8; i++)
        {
            await using ISandbox sandbox = await engine.PrepareAsync(
                spec, image, null, TestContext.Current.CancellationToken);
            await sandbox.StartAsync(
                new ProgramStart(
                    ["/bin/dd", "if=/dev/zero", "of=/big", "bs=1M", "count=36"], new Dictionary<string, string>()),
                null, TestContext.Current.CancellationToken);
            ProgramExit? exit = await sandbox.Exited;

            Assert.Equal((i, 0, 0), (i, exit?.ExitCode, exit?.Signal));
            Assert.Equal(0, sandbox.ReadUsage().OutOfMemoryKills);
        }
    }

    protected override Task<ImageHandle> OpenImageAsync() => images.OpenAsync(images.Plain, CancellationToken.None);
}
