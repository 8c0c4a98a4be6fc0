using System.Collections.Frozen;
using Berth.Core.Resources;

namespace Berth.Core.Placement;

/// <summary>An amount of what nodes share out.</summary>
/// <param name="Millicores">Thousandths of a core; never negative.</param>
/// <param name="Disk">For writable layers.</param>
public readonly record struct NodeResources(long Millicores, ByteSize Memory, ByteSize Disk)
{
    public static NodeResources Of(SandboxLimits limits) =>
        new(limits.Cpu.Millicores, limits.Memory, limits.WritableLayer);

    public override string ToString() => $"{Millicores / 1000m:0.###} CPU, {Memory} memory, {Disk} disk";
}

/// <param name="Id">Within its node.</param>
/// <param name="Model">For instance <c>a100</c>.</param>
public sealed record GpuDevice(string Id, string Model, ByteSize Memory);

/// <summary>Something that runs on a node, or that it was chosen for: it holds its resources until it has ended.
/// </summary>
/// <param name="Id">Of the attempt: a run that is begun again elsewhere is another one there.</param>
/// <param name="IsBatch">Whether it may be ended for work of higher priority.</param>
/// <param name="Group">What rules of nearness and spread call it, for instance the function's name; null for none.
/// </param>
/// <param name="Gpus">Ids of the devices that it alone uses.</param>
/// <param name="TakesPlace">Whether it takes one of the node's places.</param>
public sealed record PlacedRun(
    string Id, string Tenant, NodeResources Resources, int Priority, bool IsBatch, string? Group,
    IReadOnlyList<string> Gpus, bool TakesPlace = true)
{
    public static PlacedRun Of(PlacementRequest request, IReadOnlyList<string> gpus) => new(
        request.Id, request.Tenant, request.Resources, request.Priority, request.IsBatch, request.Group, gpus,
        request.TakesPlace);
}

/// <summary>All that the planner is told of one node. Immutable; the node's owner makes a new one when something
/// changes, and sets that it did not change stay the same objects: those are not looked at again.</summary>
public sealed record NodeSnapshot(string Name, NodeResources Capacity)
{
    public NodeAvailability State { get; init; } = NodeAvailability.Ready;

    public string Architecture { get; init; } = "amd64";

    /// <summary>Runs that it takes at once, whatever their size; null for no such bound.</summary>
    public int? Places { get; init; }

    public IReadOnlyList<GpuDevice> Gpus { get; init; } = [];

    /// <summary>Instruction sets, in lower case as the kernel calls them.</summary>
    public IReadOnlySet<string> Features { get; init; } = FrozenSet<string>.Empty;

    public IReadOnlyDictionary<string, string> Labels { get; init; } = FrozenDictionary<string, string>.Empty;

    public IReadOnlyList<Taint> Taints { get; init; } = [];

    /// <summary>Manifest digests of images that it holds unpacked.</summary>
    public IReadOnlySet<string> Images { get; init; } = FrozenSet<string>.Empty;

    /// <summary>Manifest digests of images that it fetches before something needs them.</summary>
    public IReadOnlySet<string> ComingImages { get; init; } = FrozenSet<string>.Empty;

    public IReadOnlySet<string> Volumes { get; init; } = FrozenSet<string>.Empty;

    /// <summary>Of its own, that may be put into sandboxes with all that is below them.</summary>
    public IReadOnlySet<string> HostFolders { get; init; } = FrozenSet<string>.Empty;

    public IReadOnlySet<string> Networks { get; init; } = FrozenSet<string>.Empty;

    /// <summary>How many sandboxes stand ready, by revision (or what else <see cref="PlacementRequest.Revision"/>
    /// names).</summary>
    public IReadOnlyDictionary<string, int> Prepared { get; init; } = FrozenDictionary<string, int>.Empty;

    /// <summary>Measured use of the machine, 0 to 1, whoever causes it.</summary>
    public double Load { get; init; }

    /// <summary>What runs there, as the node reports it.</summary>
    public IReadOnlyList<PlacedRun> Runs { get; init; } = [];

    /// <summary>Values of an attribute or label, as constraints look at them.</summary>
    public IReadOnlyCollection<string> Values(string key) => key switch
    {
        NodeAttributes.Node => [Name],
        NodeAttributes.Architecture => [Architecture],
        NodeAttributes.Feature => Features,
        NodeAttributes.GpuModel => [.. Gpus.Select(gpu => gpu.Model).Distinct()],
        AttributeIndex.HostFolder => HostFolders,
        _ => Labels.TryGetValue(key, out string? value) ? [value] : [],
    };
}
