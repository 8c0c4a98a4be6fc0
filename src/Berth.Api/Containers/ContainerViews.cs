using System.Text.Json.Serialization;
using Berth.Api.Networks;

namespace Berth.Api.Containers;

/// <summary>What is to be a container. What is null is left to the image or to the server's defaults; amounts are
/// written as on the command line, for instance <c>256Mi</c>, <c>0.5</c> and <c>10s</c>.</summary>
/// <param name="Image">A reference, or a digest's.</param>
/// <param name="Name">Null for one that is made up.</param>
/// <param name="Command">Replaces the image's ENTRYPOINT and CMD.</param>
/// <param name="Arguments">Replaces the image's CMD.</param>
/// <param name="Network"><c>none</c>, <c>host</c>, or the name of a network.</param>
/// <param name="Terminal">The program runs at a terminal.</param>
/// <param name="OpenInput">Standard input stays open for who attaches.</param>
/// <param name="Restart"><c>no</c>, <c>on-failure[:N]</c>, <c>always</c> or <c>unless-stopped</c>.</param>
/// <param name="StopSignal">Name or number.</param>
/// <param name="Grace">Between that signal and SIGKILL.</param>
/// <param name="Runtime">Name of an OCI runtime that the operator has registered; null for the server's own.</param>
/// <param name="Ports">Of the machine, that lead to the container's.</param>
/// <param name="Aliases">Names in its network, besides its own.</param>
/// <param name="Address">In its network; null for any.</param>
/// <param name="Constraints">What its node must be like, as of calls and tasks.</param>
/// <param name="Tolerations">Taints that it bears.</param>
/// <param name="Spread">Label by whose values its image's containers are spread.</param>
public sealed record ContainerRequest(
    string? Image = null,
    string? Name = null,
    IReadOnlyList<string>? Command = null,
    IReadOnlyList<string>? Arguments = null,
    IReadOnlyDictionary<string, string>? Environment = null,
    string? User = null,
    string? WorkingDirectory = null,
    string? Memory = null,
    string? Cpus = null,
    int? Pids = null,
    string? Disk = null,
    string? Network = null,
    bool Terminal = false,
    bool OpenInput = false,
    bool ReadOnly = false,
    IReadOnlyList<MountView>? Mounts = null,
    string? HostName = null,
    string? Restart = null,
    bool AutoRemove = false,
    string? StopSignal = null,
    string? Grace = null,
    HealthCheckRequest? Health = null,
    IReadOnlyDictionary<string, string>? Labels = null,
    string? Runtime = null,
    IReadOnlyList<PortView>? Ports = null,
    IReadOnlyList<string>? Aliases = null,
    string? Address = null,
    IReadOnlyList<string>? Constraints = null,
    IReadOnlyList<string>? Tolerations = null,
    string? Spread = null);

/// <param name="Type"><c>volume</c>, <c>host</c> or <c>memory</c>.</param>
/// <param name="Source">Name of the volume (null: one of the container's own) or absolute path on the machine.</param>
/// <param name="Target">Absolute path in the container.</param>
/// <param name="Size">Of one in memory; null for 64Mi.</param>
public sealed record MountView(
    string Type, string? Source = null, string? Target = null, bool ReadOnly = false, string? Size = null);

/// <param name="Command">Program and arguments; empty: no check, whatever the image says.</param>
public sealed record HealthCheckRequest(
    IReadOnlyList<string> Command, string? Interval = null, string? Timeout = null, string? StartPeriod = null,
    int? Retries = null);

/// <summary>What is told about a container.</summary>
/// <param name="State"><c>created running paused restarting exited unknown</c>; the last while its node can't be
/// reached.</param>
/// <param name="Run">Id of the run of its newest start.</param>
/// <param name="ExitCode">Of its last end: 128 and more where a signal ended it.</param>
/// <param name="Reason">How it last ended, in snake case of <c>EndReason</c>.</param>
/// <param name="Restarts">Starts by its policy.</param>
/// <param name="Node">Name of the node that has it; null for the server's own.</param>
public sealed record ContainerView(
    string Id,
    string Name,
    string State,
    string Image,
    string ImageDigest,
    DateTimeOffset CreatedAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? FinishedAt,
    string? Run,
    int? ExitCode,
    string? Reason,
    string? Message,
    int Restarts,
    ContainerHealth? Health,
    ContainerRequest Spec,
    string? Node = null);

/// <param name="Status"><c>starting healthy unhealthy</c>.</param>
public sealed record ContainerHealth(string Status, int Failures, IReadOnlyList<HealthCheckResult> Checks);

public sealed record HealthCheckResult(DateTimeOffset At, double TookMs, int? ExitCode, string Output);

/// <param name="Next">Cursor for the next page, or null on the last.</param>
public sealed record ContainerPage(IReadOnlyList<ContainerView> Containers, string? Next);

/// <summary>What a container uses now; its limits beside it.</summary>
public sealed record ContainerStats(
    string Id, string Name, DateTimeOffset At, double CpuMs, double CpuLimit, long MemoryBytes, long PeakMemoryBytes,
    long MemoryLimitBytes, int Processes, int ProcessLimit);

public sealed record ContainerProcess(
    int Pid, uint User, double CpuMs, long ResidentBytes, string Command);

public sealed record ContainerProcesses(IReadOnlyList<ContainerProcess> Processes);

/// <summary>What there is at a path in a container.</summary>
/// <param name="Kind"><c>file folder link other</c>.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="LinkTarget">Of a link.</param>
public sealed record PathView(
    string Name, string Kind, long Size, int Mode, DateTimeOffset ModifiedAt, string? LinkTarget = null);

/// <param name="Containers">Those that have it.</param>
/// <param name="SizeBytes">Null where it was not asked for, or is another machine's.</param>
/// <param name="Node">Machine that has it: what uses it runs there. Null until its first use.</param>
public sealed record VolumeView(
    string Name, DateTimeOffset CreatedAt, IReadOnlyList<string> Containers, long? SizeBytes = null,
    string? Node = null);

/// <param name="Name">Null for one that is made up.</param>
/// <param name="Node">Machine that is to have it.</param>
/// <param name="Constraints">What its machine must be like, as of a run. Without, and without a node, the machine of
/// its first use has it.</param>
/// <param name="Tolerations">Taints that it bears, likewise.</param>
public sealed record VolumeRequest(
    string? Name = null, string? Node = null, IReadOnlyList<string>? Constraints = null,
    IReadOnlyList<string>? Tolerations = null);

public sealed record VolumeList(IReadOnlyList<VolumeView> Volumes);

/// <summary>What Berth keeps on disk, by kind.</summary>
public sealed record SystemUsage(IReadOnlyList<UsageLine> Usage);

/// <param name="Kind"><c>images containers volumes</c>.</param>
/// <param name="Active">How many are in use.</param>
/// <param name="ReclaimableBytes">What removing those that are not in use would free.</param>
public sealed record UsageLine(string Kind, int Count, int Active, long SizeBytes, long ReclaimableBytes);

/// <summary>What to remove besides containers that have ended.</summary>
/// <param name="Volumes">Named volumes that no container has, too.</param>
public sealed record SystemPruneRequest(bool Volumes = false);

public sealed record SystemPruneResult(
    IReadOnlyList<string> Containers, IReadOnlyList<string> Volumes, long FreedBytes);

/// <summary>What is sent as text over the connection of attach and exec, in either direction.</summary>
/// <param name="Type">From the client <c>start</c> (exec, first), <c>resize</c>, <c>signal</c>,
/// <c>end_of_input</c>, <c>detach</c>; from the server <c>started</c>, <c>exit</c>, <c>error</c>.</param>
/// <param name="ExitCode">As a shell tells it: 128 and the signal's number where a signal ended it.</param>
public sealed record StreamMessage(
    string Type,
    ushort? Rows = null,
    ushort? Columns = null,
    string? Signal = null,
    int? ExitCode = null,
    string? Code = null,
    string? Message = null,
    ExecRequest? Exec = null);

/// <param name="Command">Program and arguments.</param>
/// <param name="Detach">The connection ends once the program runs; the program goes on.</param>
public sealed record ExecRequest(
    IReadOnlyList<string> Command,
    IReadOnlyDictionary<string, string>? Environment = null,
    string? User = null,
    string? WorkingDirectory = null,
    bool Terminal = false,
    bool OpenInput = false,
    bool Detach = false);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ContainerRequest))]
[JsonSerializable(typeof(ContainerView))]
[JsonSerializable(typeof(ContainerPage))]
[JsonSerializable(typeof(ContainerStats))]
[JsonSerializable(typeof(ContainerProcesses))]
[JsonSerializable(typeof(PathView))]
[JsonSerializable(typeof(VolumeView))]
[JsonSerializable(typeof(VolumeRequest))]
[JsonSerializable(typeof(VolumeList))]
[JsonSerializable(typeof(SystemUsage))]
[JsonSerializable(typeof(SystemPruneRequest))]
[JsonSerializable(typeof(SystemPruneResult))]
[JsonSerializable(typeof(StreamMessage))]
public sealed partial class ContainerJson : JsonSerializerContext;

/// <summary>The connection of attach and exec: a WebSocket whose binary messages begin with a byte that says which
/// stream the rest belongs to, and whose text messages are <see cref="StreamMessage"/>.</summary>
public static class StreamProtocol
{
    public const string Name = "berth.streams.v1";

    public const byte Input = 0;
    public const byte Output = 1;
    public const byte Error = 2;

    /// <summary>Longest message of either kind.</summary>
    public const int MaxMessage = 256 * 1024;

    /// <summary>Media type of a log whose lines come with their stream: a byte for the stream, four for the length
    /// (big-endian), then the bytes.</summary>
    public const string FramedLog = "application/vnd.berth.streams";
}
