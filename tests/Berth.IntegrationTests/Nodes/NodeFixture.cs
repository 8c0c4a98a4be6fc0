using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Node;
using Berth.Node.Engines;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Tests that make many containers run one after the other, on one node.</summary>
[CollectionDefinition("containers")]
public sealed class ContainerCollection : ICollectionFixture<NodeFixture>;

/// <summary>A started node with real runc and the busybox image; when it is gone nothing of it may be left.</summary>
public sealed class NodeFixture : IAsyncLifetime
{
    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-test-{Path.GetRandomFileName()}").FullName;

    public NodeFixture()
    {
        Images = new BusyboxImages(folder);
        Options =
            new NodeOptions("test", NodeOptions.InstanceOf(folder + "/storage"))
            {
                Pool = PoolLimits.Default with { LeastReady = 1 },
                StorageFolder = folder + "/storage",
                HostFolders = [Path.GetTempPath()],
            };
        Node = new LocalNode(
            Options, new RuncEngine(Options, TimeProvider.System, NullLogger<RuncEngine>.Instance), Images,
            TimeProvider.System,
            NullLogger<LocalNode>.Instance);
    }

    public NodeOptions Options { get; }

    public INode Node { get; }

    internal BusyboxImages Images { get; }

    internal static SandboxLimits Limits { get; } =
        new(ByteSize.MiB(64), CpuQuota.FromMillicores(2000), 64, ByteSize.MiB(16));

    internal SandboxSpec Plain => new(Images.Plain, Limits, NetworkMode.None);

    /// <summary>Its sandboxes are made within one container.</summary>
    internal SandboxSpec PlainInner => Plain with { Family = "family" };

    internal SandboxSpec Of(Digest image) => Plain with { Image = image };

    public async ValueTask InitializeAsync() => await Node.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        IReadOnlyList<string> left = HostTraces.Of(Options.Instance, folder);
        int open = Images.Open;
        Images.Dispose();
        Assert.Empty(left);
        Assert.Equal(0, open);
    }
}
