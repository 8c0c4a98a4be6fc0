using System.Net;
using System.Text.Json.Serialization;
using Berth.Api.Nodes;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Api.Links;

/// <summary>What a container's program has beyond a task's, in plain values.</summary>
/// <param name="Layer">Its writable layer, which outlasts it.</param>
/// <param name="Rows">Of its terminal; null where it has none.</param>
/// <param name="Ports">Of the node's machine, that lead to its own.</param>
public sealed record ContainerPart(
    string? Layer, bool ReadOnlyRoot, string? HostName, string? Address, ushort? Rows, ushort? Columns,
    IReadOnlyList<PublishOrder>? Ports)
{
    public static ContainerPart None { get; } = new(null, false, null, null, null, null, null);

    public TerminalSize? Terminal => TerminalOrder.Read(Rows, Columns);

    /// <summary>Null for a program that has none of it.</summary>
    public static ContainerPart? Of(AttemptSpec spec) => spec.Terminal is null
        && spec.Found is null or { Ports.Count: 0 }
        && spec.Extras is null or { Layer: null, ReadOnlyRoot: false, HostName: null, Address: null }
            ? null
            : new ContainerPart(
                spec.Extras?.Layer, spec.Extras?.ReadOnlyRoot ?? false, spec.Extras?.HostName,
                spec.Extras?.Address?.ToString(), spec.Terminal?.Rows, spec.Terminal?.Columns,
                spec.Found?.Ports.Select(p => new PublishOrder(
                    p.Address?.ToString(), p.Host, p.Container, p.IsUdp)).ToArray());

    /// <exception cref="ArgumentException">It can't be that.</exception>
    public SandboxExtras Read(IEnumerable<SandboxMount> mounts) => new(
        Layer is null || IsLayer(Layer) ? Layer : throw new ArgumentException("A layer's id is none."), ReadOnlyRoot,
        SandboxMount.InOrder(mounts), HostName, Address is null ? null : LinkAddress.Read(Address));

    /// <exception cref="ArgumentException">It can't be that.</exception>
    public IReadOnlyList<PublishedPort> ReadPorts() =>
    [
        .. (Ports ?? []).Select(p => p is { Host: > 0 and <= ushort.MaxValue, Container: > 0 and <= ushort.MaxValue }
            ? new PublishedPort(AddressOf(p.Address), p.Host, p.Container, p.IsUdp)
            : throw new ArgumentException("A port is none.")),
    ];

    private static IPAddress? AddressOf(string? text) => text is null ? null
        : IPAddress.TryParse(text, out IPAddress? address) ? address
        : throw new ArgumentException($"'{text}' is no address.");

    /// <summary>It names a folder.</summary>
    public static bool IsLayer(string? text) =>
        text is { Length: > 0 and <= 64 } && text.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-');
}

/// <summary>A <see cref="PublishedPort"/>.</summary>
public sealed record PublishOrder(string? Address, int Host, int Container, bool IsUdp);

/// <summary>A <see cref="TerminalSize"/>.</summary>
public sealed record TerminalOrder(ushort Rows, ushort Columns)
{
    public static TerminalSize? Read(ushort? rows, ushort? columns) =>
        rows is > 0 && columns is > 0 ? new TerminalSize(rows.Value, columns.Value) : null;
}

/// <summary>Goes on with a container's program that was ordered before, over another stream.</summary>
/// <param name="Attempt">Which.</param>
/// <param name="Output">How far the server has standard output; null where it does not know any more.</param>
/// <param name="Error">The same of standard error.</param>
public sealed record RejoinOrder(string Attempt, StreamPlace? Output, StreamPlace? Error);

/// <summary>Where the reading end of a stream is.</summary>
/// <param name="At">Bytes from its beginning that came.</param>
/// <param name="Unsaid">How many of them count against its window still.</param>
public sealed record StreamPlace(long At, int Unsaid);

/// <summary>The program is here and goes on.</summary>
/// <param name="Input">How far the node has standard input.</param>
/// <param name="OutputAt">Where standard output goes on. More than the server has: what is between was written while
/// there was no link, and dropped.</param>
/// <param name="ErrorAt">The same of standard error.</param>
public sealed record RejoinedReport(StreamPlace Input, long OutputAt, long ErrorAt);

/// <summary>An <see cref="ExecutionSpec"/> for a container's program.</summary>
/// <param name="Attempt">Beside which.</param>
public sealed record ExecutionOrder(
    string Attempt, IReadOnlyList<string> Command, IReadOnlyDictionary<string, string>? Environment, string? User,
    string? WorkingDirectory, ushort? Rows, ushort? Columns)
{
    public static ExecutionOrder Of(string attempt, ExecutionSpec spec) => new(
        attempt, spec.Command, spec.Environment, spec.User, spec.WorkingDirectory, spec.Terminal?.Rows,
        spec.Terminal?.Columns);

    /// <exception cref="ArgumentException">It can't be that.</exception>
    public ExecutionSpec Read() => new(
        Command is [_, ..] ? Command : throw new ArgumentException("There is no program in it."),
        Environment ?? new Dictionary<string, string>(), User, WorkingDirectory, TerminalOrder.Read(Rows, Columns));
}

/// <summary>An <see cref="ExecutionEnd"/>.</summary>
public sealed record ExecutionReport(int? ExitCode, int? Signal);

/// <summary>Asks what runs in a container.</summary>
/// <param name="Attempt">Which.</param>
public sealed record ProcessesOrder(string Attempt);

/// <summary>What runs in a container.</summary>
public sealed record ProcessesReport(IReadOnlyList<ProcessLine> Processes)
{
    /// <summary>Of one container; as many as are read of one.</summary>
    public const int Most = 4096;

    private const int MaxCommand = 4096;

    /// <summary>Characters of all commands. One takes up to six bytes of a frame.</summary>
    private const int MaxCommands = 512 * 1024;

    /// <summary>Of very many processes the commands are cut shorter, so that all are in one frame.</summary>
    public static ProcessesReport Of(IReadOnlyList<ProcessView> processes)
    {
        int share = Math.Min(MaxCommand, MaxCommands / Math.Clamp(processes.Count, 1, Most));
        return new ProcessesReport(
        [
            .. processes.Take(Most).Select(p => new ProcessLine(
                p.Id, p.User, LinkWords.Microseconds(p.ProcessorTime), p.Resident.Bytes, Cut(p.Command, share))),
        ]);
    }

    public IReadOnlyList<ProcessView> Read() =>
    [
        .. (Processes ?? []).Take(Most).Select(p => new ProcessView(
            p.Id, p.User, LinkWords.Span(p.ProcessorUs), ByteSize.FromBytes(Math.Max(0, p.Resident)),
            Cut(p.Command ?? "", MaxCommand))),
    ];

    private static string Cut(string text, int most) => text.Length > most ? text[..most] : text;
}

/// <summary>A <see cref="ProcessView"/>.</summary>
public sealed record ProcessLine(int Id, uint User, long ProcessorUs, long Resident, string Command);

/// <summary>What a node keeps for the server that asks: containers' programs, ended ones whose end it has not taken
/// among them, and writable layers.</summary>
/// <param name="Volumes">Made for one container alone. Null from nodes of before they told.</param>
public sealed record KeptReport(
    IReadOnlyList<string> Attempts, IReadOnlyList<string> Layers, IReadOnlyList<string>? Volumes = null)
{
    public const int Most = 10_000;
}

/// <summary>Ends a container's program, or removes a layer with what has it.</summary>
public sealed record DropOrder(string? Attempt, string? Layer);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 8)]
[JsonSerializable(typeof(TerminalOrder))]
[JsonSerializable(typeof(RejoinOrder))]
[JsonSerializable(typeof(RejoinedReport))]
[JsonSerializable(typeof(ExecutionOrder))]
[JsonSerializable(typeof(ExecutionReport))]
[JsonSerializable(typeof(KeptReport))]
[JsonSerializable(typeof(ProcessesOrder))]
[JsonSerializable(typeof(ProcessesReport))]
[JsonSerializable(typeof(DropOrder))]
public sealed partial class ContainerLinkJson : JsonSerializerContext;
