using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Containers;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Store;

/// <summary>A container as the store keeps it: JSON of plain values, absent where default.</summary>
internal sealed record ContainerDocument(
    string Id,
    string Name,
    string Caller,
    ContainerState State,
    DateTimeOffset CreatedAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? FinishedAt,
    string? Run,
    int Restarts,
    int RestartsInRow,
    bool Stopped,
    ContainerExit? Exit,
    ContainerSpecDocument Spec,
    string? Node = null,
    bool HasFiles = false)
{
    public static byte[] Write(Container container) => JsonSerializer.SerializeToUtf8Bytes(
        new ContainerDocument(
            container.Id.Text, container.Name, container.Caller, container.State, container.CreatedAt,
            container.StartedAt, container.FinishedAt, container.Run?.Text, container.Restarts,
            container.RestartsInRow, container.Stopped, container.Exit, ContainerSpecDocument.Of(container.Spec),
            container.Node, container.HasFiles),
        ContainerDocumentJson.Default.ContainerDocument);

    public static Container Read(ReadOnlySpan<byte> json)
    {
        ContainerDocument document = JsonSerializer.Deserialize(json, ContainerDocumentJson.Default.ContainerDocument)
            ?? throw new InvalidOperationException("The store holds an empty container.");
        return new Container(
            ContainerId.TryParse(document.Id, out ContainerId id)
                ? id
                : throw new InvalidOperationException($"The store holds a container '{document.Id}'."),
            document.Name, document.Spec.Spec, document.Caller, document.State, document.CreatedAt,
            document.StartedAt, document.FinishedAt, document.Run is null ? null : RunId.Parse(document.Run),
            document.Restarts, document.RestartsInRow, document.Stopped, document.Exit, document.Node,
            document.HasFiles);
    }
}

internal sealed record ContainerSpecDocument(
    string Image,
    string Digest,
    long Memory,
    int Millicores,
    int Pids,
    long WritableLayer,
    NetworkMode Network,
    IReadOnlyList<string>? Command,
    IReadOnlyList<string>? Arguments,
    IReadOnlyDictionary<string, string>? Environment,
    string? User,
    string? WorkingDirectory,
    bool Terminal,
    bool OpenInput,
    bool ReadOnlyRoot,
    IReadOnlyList<MountDocument>? Mounts,
    string? HostName,
    string? Restart,
    bool AutoRemove,
    int? StopSignal,
    long GraceMs,
    HealthDocument? Health,
    IReadOnlyDictionary<string, string>? Labels,
    string? Runtime = null,
    ContainerNetworkDocument? Bridge = null,
    IReadOnlyList<string>? Constraints = null,
    IReadOnlyList<string>? Tolerations = null,
    string? Spread = null)
{
    private static readonly IReadOnlyDictionary<string, string> Nothing = new Dictionary<string, string>();

    [JsonIgnore]
    public ContainerSpec Spec => new(
        Image, Core.Images.Digest.Parse(Digest),
        new SandboxLimits(
            ByteSize.FromBytes(Memory), CpuQuota.FromMillicores(Millicores), Pids, ByteSize.FromBytes(WritableLayer)),
        Network, Command, Arguments, Environment ?? Nothing, User, WorkingDirectory, Terminal, OpenInput, ReadOnlyRoot,
        [.. (Mounts ?? []).Select(m => m.Mount)], HostName, RestartPolicy.Parse(Restart ?? ""), AutoRemove, StopSignal,
        TimeSpan.FromMilliseconds(GraceMs), Health?.Check, Labels ?? Nothing,
        Runtime, Bridge?.Network, PlacementRules.Parse(Constraints, Tolerations, Spread));

    public static ContainerSpecDocument Of(ContainerSpec spec) => new(
        spec.Image, spec.Digest.Text, spec.Limits.Memory.Bytes, spec.Limits.Cpu.Millicores, spec.Limits.Pids,
        spec.Limits.WritableLayer.Bytes, spec.Network, spec.Command, spec.Arguments,
        spec.Environment.Count == 0 ? null : spec.Environment, spec.User, spec.WorkingDirectory, spec.Terminal,
        spec.OpenInput, spec.ReadOnlyRoot,
        spec.Mounts.Count == 0 ? null : [.. spec.Mounts.Select(MountDocument.Of)], spec.HostName,
        spec.Restart.ToString(), spec.AutoRemove, spec.StopSignal, (long)spec.Grace.TotalMilliseconds,
        spec.Health is null ? null : HealthDocument.Of(spec.Health), spec.Labels.Count == 0 ? null : spec.Labels,
        spec.Runtime, spec.Bridge is null ? null : ContainerNetworkDocument.Of(spec.Bridge),
        spec.Placement is { Constraints.Count: > 0 } ? [.. spec.Placement.Constraints.Select(c => c.Text)] : null,
        spec.Placement is { Tolerations.Count: > 0 } ? [.. spec.Placement.Tolerations.Select(t => t.Text)] : null,
        spec.Placement?.Spread);
}

internal sealed record ContainerNetworkDocument(
    NetworkUse Use, string? Address, IReadOnlyList<string>? Aliases, IReadOnlyList<PortDocument>? Ports)
{
    [JsonIgnore]
    public ContainerNetwork Network => new(
        Use, Address is null ? null : IPAddress.Parse(Address), Aliases ?? [], [.. (Ports ?? []).Select(p => p.Port)]);

    public static ContainerNetworkDocument Of(ContainerNetwork network) => new(
        network.Use, network.Address?.ToString(), network.Aliases.Count == 0 ? null : network.Aliases,
        network.Ports.Count == 0 ? null : [.. network.Ports.Select(PortDocument.Of)]);
}

internal sealed record PortDocument(string? Address, int Host, int Container, bool IsUdp)
{
    [JsonIgnore]
    public PublishedPort Port => new(Address is null ? null : IPAddress.Parse(Address), Host, Container, IsUdp);

    public static PortDocument Of(PublishedPort port) => new(
        port.Address?.ToString(), port.Host, port.Container, port.IsUdp);
}

internal sealed record MountDocument(
    MountKind Kind, string? Source, string Target, bool ReadOnly, bool Anonymous, long Size)
{
    [JsonIgnore]
    public ContainerMount Mount => new(
        Kind, Source ?? "", Target, ReadOnly, Anonymous, ByteSize.FromBytes(Size));

    public static MountDocument Of(ContainerMount mount) => new(
        mount.Kind, mount.Source, mount.Target, mount.ReadOnly, mount.Anonymous, mount.Size.Bytes);
}

internal sealed record HealthDocument(
    IReadOnlyList<string> Command, long IntervalMs, long TimeoutMs, long StartPeriodMs, int Retries)
{
    [JsonIgnore]
    public HealthCheck Check => new(
        Command, TimeSpan.FromMilliseconds(IntervalMs), TimeSpan.FromMilliseconds(TimeoutMs),
        TimeSpan.FromMilliseconds(StartPeriodMs), Retries);

    public static HealthDocument Of(HealthCheck check) => new(
        check.Command, (long)check.Interval.TotalMilliseconds, (long)check.Timeout.TotalMilliseconds,
        (long)check.StartPeriod.TotalMilliseconds, check.Retries);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(ContainerDocument))]
internal sealed partial class ContainerDocumentJson : JsonSerializerContext;
