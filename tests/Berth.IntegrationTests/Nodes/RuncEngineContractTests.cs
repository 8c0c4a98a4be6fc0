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

    [Fact]
    public void Runc_is_started_from_memory_that_nobody_can_change()
    {
        string link = $"{options.RuntimeFolder}/{options.Instance}/programs/runc";

        string program = File.ResolveLinkTarget(link, returnFinalTarget: false)!.FullName;
        Assert.StartsWith("/memfd:runc", File.ResolveLinkTarget(program, returnFinalTarget: false)!.FullName);
        Assert.StartsWith("runc ", engine.Name);
    }

    [Fact]
    public async Task Many_that_are_made_at_once_have_all_processors_each()
    {
        ISandbox[] sandboxes = await Task.WhenAll(
            Enumerable.Range(0, (2 * Environment.ProcessorCount) + 2).Select(_ => PrepareAsync()));
        List<string> seen = [];
        foreach (ISandbox sandbox in sandboxes)
        {
            await StartAsync(sandbox, "grep", "Cpus_allowed_list", "/proc/self/status");
            seen.Add(await ReadAsync(sandbox.Streams.Output));
            await sandbox.DisposeAsync();
        }

        string own = File.ReadLines("/proc/self/status").First(l => l.StartsWith("Cpus_allowed_list"));
        Assert.All(seen, s => Assert.Equal(own + "\n", s));
    }

    protected override Task<ImageHandle> OpenImageAsync() => images.OpenAsync(images.Plain, CancellationToken.None);
}
