using System.Text.Json.Serialization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Api.Links;

/// <summary>A <see cref="SandboxSpec"/> in plain values.</summary>
/// <param name="Network">That it is in; null for none.</param>
public sealed record ShapeOrder(
    string Image, long Memory, int Millicores, int Pids, long WritableLayer, string? Family, int? Reuse,
    NetworkOrder? Network = null)
{
    public static ShapeOrder Of(SandboxSpec spec) => new(
        spec.Image.Text, spec.Limits.Memory.Bytes, spec.Limits.Cpu.Millicores, spec.Limits.Pids,
        spec.Limits.WritableLayer.Bytes, spec.Family, spec.Reuse, NetworkOrder.Of(spec.Bridge));

    public SandboxSpec Read() => new(
        Digest.Parse(Image),
        new SandboxLimits(
            ByteSize.FromBytes(Memory), CpuQuota.FromMillicores(Millicores), Pids, ByteSize.FromBytes(WritableLayer)),
        Network is null ? NetworkMode.None : NetworkMode.Bridge, Family: Family, Reuse: Reuse,
        Bridge: Network?.Read());
}

/// <summary>An image that may soon be wanted.</summary>
/// <param name="Image">Digest of its manifest.</param>
public sealed record FetchOrder(string Image);

/// <summary>A folder of files in memory.</summary>
public sealed record FilesOrder(string Target, string? User, IReadOnlyDictionary<string, byte[]> Content);

/// <summary>An <see cref="AttemptSpec"/> in plain values.</summary>
/// <param name="Mounts">As <see cref="RunMount.Text"/> writes them. Since version 4.</param>
/// <param name="Container">Null for calls, tasks and instances. Since version 5.</param>
/// <param name="Yields">Whether it is to be refused where there is no room. Since version 6; a node of before runs it
/// all the same.</param>
/// <param name="HoldMs">How long the node holds what room comes free for it before it is refused, because its server
/// ends something there for it; null where it does not. A node of before knows of no such thing and refuses it at once.
/// </param>
/// <param name="KeepRoomMs">How long the node keeps the room of a container after its program's end; null where it does
/// not. A node of before keeps none.</param>
public sealed record AttemptOrder(
    string Id, string Run, int Number, ShapeOrder Sandbox, IReadOnlyList<string>? Command,
    IReadOnlyList<string>? Arguments, IReadOnlyDictionary<string, string> Environment, string? User,
    string? WorkingDirectory, long? TimeoutMs, long GraceMs, IReadOnlyList<FilesOrder>? Files, int? Listen = null,
    bool IsInstance = false, IReadOnlyList<string>? Names = null, IReadOnlyList<string>? Mounts = null,
    ContainerPart? Container = null, bool Yields = false, long? HoldMs = null,
    long? KeepRoomMs = null)
{
    public static AttemptOrder Of(AttemptSpec spec) => new(
        spec.Id, spec.Run.Text, spec.Number, ShapeOrder.Of(spec.Sandbox), spec.Command, spec.Arguments,
        spec.Environment, spec.User, spec.WorkingDirectory, (long?)spec.Timeout?.TotalMilliseconds,
        (long)spec.Grace.TotalMilliseconds,
        spec.Extras?.Mounts.OfType<SandboxMount.Files>().Select(f => new FilesOrder(
            f.Target, f.User, f.Content.ToDictionary(c => c.Name, c => c.Content.ToArray()))).ToArray(),
        spec.Listen, spec.IsInstance, spec.Found?.Names,
        HasMounts(spec) ? [.. spec.Extras!.Mounts.Select(m => m.AsAsked()?.Text).OfType<string>()] : null,
        ContainerPart.Of(spec), spec.Yields,
        spec.Hold > TimeSpan.Zero ? (long)spec.Hold.TotalMilliseconds : null,
        spec.KeepRoom > TimeSpan.Zero ? (long)spec.KeepRoom.TotalMilliseconds : null);

    /// <summary>Whether it has some that only a node of <see cref="LinkProtocol.MountsVersion"/> understands.</summary>
    public static bool HasMounts(AttemptSpec spec) =>
        spec.Extras?.Mounts.Any(m => m is not SandboxMount.Files) ?? false;

    /// <summary>Whether all of it can be said in an order.</summary>
    public static bool CanSay(AttemptSpec spec) =>
        spec.Sandbox is { Network: NetworkMode.None, Runtime: null }
            or { Network: NetworkMode.Bridge, Runtime: null, Bridge.Overlay: not null };

    public AttemptSpec Read() => new(
        Id, RunId.Parse(Run), Number, Sandbox.Read(), Command, Arguments, Environment, User, WorkingDirectory,
        TimeoutMs is { } limit ? TimeSpan.FromMilliseconds(limit) : null, TimeSpan.FromMilliseconds(GraceMs),
        Container?.Terminal,
        Files is null && Mounts is null && Container is null
            ? null
            : (Container ?? ContainerPart.None).Read([.. FileMounts(), .. OtherMounts()]),
        Listen: Listen, IsInstance: IsInstance, Yields: Yields,
        Hold: TimeSpan.FromMilliseconds(HoldMs ?? 0), KeepRoom: TimeSpan.FromMilliseconds(KeepRoomMs ?? 0),
        Found: Sandbox.Network is null ? null : new AttemptNetwork(Names ?? [], Container?.ReadPorts() ?? []));

    private IEnumerable<SandboxMount> FileMounts() => (Files ?? []).Select(f => new SandboxMount.Files(
        f.Target, [.. f.Content.Select(c => new SandboxFile(c.Key, c.Value))], f.User));

    private IEnumerable<SandboxMount> OtherMounts() => (Mounts ?? []).Select(m => SandboxMount.Of(RunMount.Read(m)));
}

/// <summary>One server's part of a drain, as it tells another.</summary>
/// <param name="Moved">Containers, by name.</param>
/// <param name="Staying">Likewise, with what keeps each.</param>
/// <param name="Running">What it has on the node.</param>
public sealed record DrainReport(
    IReadOnlyList<string> Moved, IReadOnlyDictionary<string, string> Staying, int Running);

/// <summary>Asks for a connection.</summary>
/// <param name="Attempt">Whose program.</param>
/// <param name="Port">Of its sandbox's own loopback, where the program listens; null for the next connection that it
/// makes to the one it was ordered with.</param>
public sealed record ConnectOrder(string Attempt, int? Port);

/// <summary>An <see cref="AttemptFigures"/>.</summary>
public sealed record FiguresReport(long ProcessorUs, long Memory, long PeakMemory, int Processes);

public sealed record VolumeOrder(string Name);

public sealed record StopOrder(string Reason, long GraceMs);

/// <summary>An <see cref="AttemptPreparation"/>, in microseconds.</summary>
public sealed record StartedReport(long PrepareUs, long StartUs, bool Prepared);

/// <summary>Why it can't be: a code of the error catalogue and a sentence.</summary>
public sealed record RefusalReport(string Code, string Message, long? RetryAfterMs);

public sealed record ProgressLine(double Percent, string? Message);

/// <summary>An <see cref="AttemptReport"/>; times in microseconds.</summary>
public sealed record EndReport(
    string Reason, int? ExitCode, int? Signal, string? Detail, long CpuUserUs, long CpuSystemUs, long PeakMemory,
    long BytesIn, long BytesOut, long RunUs);

/// <summary>What a node says of itself when a link begins. The first three stand for ever: by them two programs that
/// understand each other in nothing else can say so.</summary>
/// <param name="OldestVersion">Of the protocol.</param>
/// <param name="NewestVersion">Of the protocol.</param>
/// <param name="Program">The node's own version.</param>
/// <param name="Clock">What its clock shows.</param>
/// <param name="Places">Sandboxes that it runs at once.</param>
/// <param name="Underlay">IPv4 address under which other machines reach it, for networks on several; null where its
/// kernel has none of those.</param>
/// <param name="Key">A <see cref="PeerKey"/>, for encrypted networks; null where it can have none.</param>
/// <param name="Sharing">Where it offers its layers to other nodes; null for nowhere. Since version 8.</param>
public sealed record NodeHello(
    int OldestVersion, int NewestVersion, string Program, DateTimeOffset Clock, NodeFacts Facts, int Places,
    string? Underlay = null, string? Key = null, LayerOffer? Sharing = null);

/// <summary>Nodes that have an image and offer its layers, in the order in which they are to be asked.</summary>
public sealed record NeighbourList(IReadOnlyList<LayerOffer> Neighbours);

/// <summary>What does not change while a node runs.</summary>
/// <param name="Architecture">As images name it: amd64, arm64.</param>
/// <param name="Features">Of the processor, such as avx2, that programs may ask for.</param>
/// <param name="Devices">Accelerators by model, with their memory.</param>
/// <param name="HostFolders">Of the machine, that may be put into sandboxes; null for none.</param>
public sealed record NodeFacts(
    string Engine, int CgroupVersion, int Cores, long MemoryBytes, string Architecture, string OperatingSystem,
    string Kernel, IReadOnlyList<string> Features, IReadOnlyList<DeviceFact> Devices,
    IReadOnlyList<string>? HostFolders = null)
{
    /// <summary>Feature of nodes that can be in encrypted networks.</summary>
    public const string Encryption = "wireguard";

    /// <summary>The same of a machine that has a key for such networks, or none.</summary>
    public NodeFacts With(PeerKey? key) => this with
    {
        Features = [.. Features.Where(f => f != Encryption), .. key is null ? Array.Empty<string>() : [Encryption]],
    };
}

public sealed record DeviceFact(string Model, long MemoryBytes);

/// <summary>How a node does.</summary>
/// <param name="Load">The kernel's average of a minute.</param>
/// <param name="Images">Digests of images that can be run without fetching anything; the newest.</param>
/// <param name="Ready">How many sandboxes stand ready, by image.</param>
/// <param name="Elsewhere">Attempts that other servers have here.</param>
/// <param name="Coming">Digests of images that are being fetched before something needs them.</param>
/// <param name="ElsewhereMemory">Bytes that attempts of other servers may use here.</param>
/// <param name="FromNeighbours">Bytes of images that it has had from other nodes since it started.</param>
/// <param name="FromServers">The same from servers.</param>
public sealed record NodeHeartbeat(
    DateTimeOffset Clock, int Running, int Prepared, double Load, long MemoryFree, long DiskFree, long DiskTotal,
    IReadOnlyList<string> Images, IReadOnlyDictionary<string, int>? Ready = null, int Elsewhere = 0,
    IReadOnlyList<string>? Coming = null, long ElsewhereMemory = 0, long FromNeighbours = 0, long FromServers = 0);

/// <summary>Where the servers that share a store listen for nodes.</summary>
public sealed record ServerList(IReadOnlyList<string> Addresses);

/// <param name="Version">Of the protocol, spoken from now on.</param>
public sealed record NodeWelcome(int Version);

/// <summary>Asks for a node's first certificate.</summary>
/// <param name="Request">PKCS #10, in PEM.</param>
public sealed record JoinRequest(
    string Token, string Name, string Request, DateTimeOffset Clock, IReadOnlyDictionary<string, string>? Labels);

/// <param name="Request">PKCS #10, in PEM.</param>
public sealed record RenewRequest(string Request);

/// <param name="Name">Under which the server knows the node.</param>
/// <param name="Certificate">In PEM.</param>
public sealed record CertificateAnswer(string Name, string Certificate);

/// <summary>How reasons and codes are written on the link.</summary>
public static class LinkWords
{
    public static AttemptReport Read(EndReport report) => new(
        Enum.TryParse(report.Reason, out EndReason reason) && Enum.IsDefined(reason)
            ? reason
            : throw new LinkException($"A report has the unknown reason '{Quoted.Of(report.Reason)}'."),
        report.ExitCode, report.Signal, report.Detail is { Length: > 4096 } long4K ? long4K[..4096] : report.Detail,
        new RunUsage(
            Span(report.CpuUserUs), Span(report.CpuSystemUs), ByteSize.FromBytes(Math.Max(0, report.PeakMemory)),
            Math.Max(0, report.BytesIn), Math.Max(0, report.BytesOut)),
        Span(report.RunUs));

    public static EndReport Write(AttemptReport report) => new(
        report.Reason.ToString(), report.ExitCode, report.Signal, report.Detail,
        Microseconds(report.Usage.CpuUser), Microseconds(report.Usage.CpuSystem), report.Usage.PeakMemory.Bytes,
        report.Usage.BytesIn, report.Usage.BytesOut, Microseconds(report.RunTime));

    /// <param name="node">Which told it.</param>
    public static AttemptPreparation Read(StartedReport report, string node) =>
        new(Span(report.PrepareUs), Span(report.StartUs), report.Prepared, Node: node);

    public static StartedReport Write(AttemptPreparation preparation) => new(
        Microseconds(preparation.Prepare), Microseconds(preparation.Start), preparation.Prepared);

    public static AttemptFigures Read(FiguresReport report) => new(
        Span(report.ProcessorUs), ByteSize.FromBytes(Math.Max(0, report.Memory)),
        ByteSize.FromBytes(Math.Max(0, report.PeakMemory)), Math.Max(0, report.Processes));

    public static FiguresReport Write(AttemptFigures figures) => new(
        Microseconds(figures.Processor), figures.Memory.Bytes, figures.PeakMemory.Bytes, figures.Processes);

    public static long Microseconds(TimeSpan span) => span.Ticks / TimeSpan.TicksPerMicrosecond;

    /// <summary>Of something that a machine measured: nothing is longer than a year, or shorter than nothing.</summary>
    public static TimeSpan Span(long microseconds) =>
        TimeSpan.FromTicks(Math.Clamp(microseconds, 0, TimeSpan.TicksPerDay / 10 * 366) * 10);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 8)]
[JsonSerializable(typeof(ShapeOrder))]
[JsonSerializable(typeof(FetchOrder))]
[JsonSerializable(typeof(AttemptOrder))]
[JsonSerializable(typeof(ConnectOrder))]
[JsonSerializable(typeof(DrainReport))]
[JsonSerializable(typeof(FiguresReport))]
[JsonSerializable(typeof(StopOrder))]
[JsonSerializable(typeof(VolumeOrder))]
[JsonSerializable(typeof(StartedReport))]
[JsonSerializable(typeof(RefusalReport))]
[JsonSerializable(typeof(ProgressLine))]
[JsonSerializable(typeof(EndReport))]
[JsonSerializable(typeof(NodeHello))]
[JsonSerializable(typeof(NodeHeartbeat))]
[JsonSerializable(typeof(NodeWelcome))]
[JsonSerializable(typeof(ServerList))]
[JsonSerializable(typeof(NeighbourList))]
[JsonSerializable(typeof(JoinRequest))]
[JsonSerializable(typeof(RenewRequest))]
[JsonSerializable(typeof(CertificateAnswer))]
public sealed partial class LinkJson : JsonSerializerContext;
