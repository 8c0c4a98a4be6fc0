using System.Collections.Frozen;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Oci.Images;

namespace Berth.Server.Nodes;

/// <summary>What the planner is told of a node.</summary>
internal static class NodeSnapshots
{
    /// <summary>Feature of nodes that can have instances: a link of an older version knows of no connections. No
    /// processor's is written so.</summary>
    public const string Instances = "berth:instances";

    /// <summary>Feature of nodes that can have volumes and folders in sandboxes, likewise.</summary>
    public const string Mounts = "berth:volumes";

    /// <summary>Feature of nodes that can keep containers, by the version of the link.</summary>
    public const string Containers = "berth:containers";

    /// <summary>What a network on several machines is called: a node has all of them, or none.</summary>
    public const string OverlayNetwork = "overlay";

    private const int Core = 1000;

    private static readonly FrozenSet<string> Overlay = FrozenSet.Create(StringComparer.Ordinal, OverlayNetwork);

    /// <param name="before">The last one; what did not change since stays the same object, so that the index need not
    /// look at it.</param>
    /// <param name="images">Manifest digests that it need not fetch.</param>
    /// <param name="ready">Sandboxes that stand ready, by image.</param>
    /// <param name="volumes">Names of those that it has.</param>
    public static NodeSnapshot Of(
        NodeEntry node, NodeSnapshot? before, IEnumerable<string> images, IReadOnlyDictionary<string, int> ready,
        IReadOnlySet<string> volumes)
    {
        NodeRecord record = node.Record;
        NodeFacts? facts = record.Facts;
        bool hasInstances = node.IsOwn || node.Node is { Link.HasConnections: true };
        bool hasMounts = node.IsOwn || node.Node is { Link.HasMounts: true };
        bool hasContainers = node.IsOwn || node.Node is { Link.HasContainers: true };
        IReadOnlySet<string> features = Same(
            before?.Features,
            [
                .. facts?.With(node.Key).Features ?? [], .. hasInstances ? [Instances] : Array.Empty<string>(),
                .. hasMounts ? [Mounts] : Array.Empty<string>(),
                .. hasContainers ? [Containers] : Array.Empty<string>(),
            ]);
        IReadOnlyList<GpuDevice> devices = DevicesOf(facts);
        return new NodeSnapshot(record.Name, CapacityOf(facts, node.Places))
        {
            State = node.Availability != NodeAvailability.Ready ? node.Availability
                : record.IsCordoned ? NodeAvailability.Cordoned : NodeAvailability.Ready,
            Architecture = facts?.Architecture ?? PlatformChoice.Here.Architecture,
            Places = node.FreePlaces,
            Features = features,
            Networks = node.Underlay is null ? FrozenSet<string>.Empty : Overlay,
            HostFolders = Same(before?.HostFolders, hasMounts ? facts?.HostFolders ?? [] : []),
            Gpus = before is not null && before.Gpus.SequenceEqual(devices) ? before.Gpus : devices,
            Labels = record.Labels,
            Taints = [.. record.Taints.Select(TaintOf)],
            Images = Same(before?.Images, images.Where(i => i is not null)),
            Runs = node.Heartbeat is { ElsewhereMemory: > 0 and var bytes } ? [OfOthers(bytes)] : [],
            ComingImages = Same(before?.ComingImages, (node.Heartbeat?.Coming ?? []).Where(i => i is not null)),
            Prepared = ready,
            Volumes = volumes,
            Load = node.Heartbeat is { } beat ? beat.Load / Math.Max(1, facts?.Cores ?? 1) : 0,
        };
    }

    /// <summary>Words of a device's name as constraints are written with: <c>NVIDIA A100-SXM4-40GB</c> is
    /// <c>nvidia-a100-sxm4-40gb</c>.</summary>
    public static string ModelOf(string name) =>
        string.Concat(name.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' ? c : '-'))
            .Trim('-');

    /// <summary>Limits of processor time are upper bounds, and a machine promises more of them than it has: as many
    /// cores as it has places. Of memory it promises what it has.</summary>
    private static NodeResources CapacityOf(NodeFacts? facts, int places) => new(
        (long)Math.Max(facts?.Cores ?? 0, places) * Core, ByteSize.FromBytes(facts?.MemoryBytes ?? 0), default);

    /// <summary>Memory that other servers have of it, as one run; another amount is another run. What they have of its
    /// places is taken off these.</summary>
    private static PlacedRun OfOthers(long bytes) => new(
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"others {bytes}"), "",
        new NodeResources(0, ByteSize.FromBytes(bytes), default), 0, IsBatch: false, Group: null, [],
        TakesPlace: false);

    private static GpuDevice[] DevicesOf(NodeFacts? facts) =>
    [
        .. (facts?.Devices ?? []).Select((device, i) => new GpuDevice(
            i.ToString(System.Globalization.CultureInfo.InvariantCulture), ModelOf(device.Model),
            ByteSize.FromBytes(device.MemoryBytes))),
    ];

    private static IReadOnlySet<string> Same(IReadOnlySet<string>? before, IEnumerable<string> now) =>
        before is not null && before.SetEquals(now) ? before : now.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>A record that is older than the rules for taints keeps what it says.</summary>
    private static Taint TaintOf(string text)
    {
        try
        {
            return Taint.Parse(text);
        }
        catch (BerthException)
        {
            return new Taint(text, "", IsSoft: false);
        }
    }
}
