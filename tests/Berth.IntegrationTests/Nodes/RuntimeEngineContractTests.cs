using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Engines;
using Berth.Oci.Layers;
using Berth.Testing.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>The contract of every engine, kept with a further runtime.</summary>
public abstract class RuntimeEngineContractTests : EngineContract, IAsyncLifetime
{
    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;
    private readonly BusyboxImages images;
    private readonly NodeOptions options;
    private readonly RuncEngine engine;
    private readonly RegisteredRuntime runtime;

    protected RuntimeEngineContractTests(RegisteredRuntime runtime)
    {
        this.runtime = runtime;
        images = new BusyboxImages(folder);
        options = new NodeOptions("contract", NodeOptions.InstanceOf(folder)) { Runtimes = [runtime] };
        engine = new RuncEngine(options, TimeProvider.System, NullLogger<RuncEngine>.Instance);
    }

    protected override IEngine Engine => engine;

    protected override SandboxSpec Sandbox =>
        new(images.Plain, NodeFixture.Limits, NetworkMode.None, runtime.Name);

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(File.Exists(runtime.Path), $"{runtime.Path} is missing: apt-get install {runtime.Name}.");
        await engine.StartAsync(CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync();
        images.Dispose();
        Assert.Empty(HostTraces.Of(options.Instance));
    }

    protected override Task<ImageHandle> OpenImageAsync() => images.OpenAsync(images.Plain, CancellationToken.None);

    /// <summary>Process 1 can't end by the signal that ended the program.</summary>
    protected override (int ExitCode, int Signal) EndBy(int signal) => (128 + signal, 0);
}

/// <summary>Under another name, runc stands for the runtimes that are like it: crun, youki, kata.</summary>
[Collection("containers")]
public sealed class OtherRuncContractTests() : RuntimeEngineContractTests(FurtherRuntimes.Runc);

[Collection("containers")]
public sealed class RunscContractTests() : RuntimeEngineContractTests(FurtherRuntimes.Runsc);
