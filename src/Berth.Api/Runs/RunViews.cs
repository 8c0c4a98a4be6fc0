using System.Text.Json.Serialization;

namespace Berth.Api.Runs;

/// <summary>What is told about a run: a synchronous call, or an asynchronous task.</summary>
/// <param name="Kind"><c>call</c> or <c>task</c>.</param>
/// <param name="State"><c>queued starting running succeeded failed canceled</c>.</param>
/// <param name="Image">The reference as asked for; <paramref name="ImageDigest"/> is what was run.</param>
/// <param name="Reason">How it ended, in snake case of <c>EndReason</c>; null before.</param>
/// <param name="Runtime">The OCI runtime it asked for; null for the server's own.</param>
/// <param name="Status">Of the answer, where the program answered over HTTP; null otherwise.</param>
/// <param name="Percent">Last progress reported by the program, 0 to 100.</param>
public sealed record RunView(
    string Id,
    string Kind,
    string State,
    string Image,
    string ImageDigest,
    DateTimeOffset CreatedAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? EndedAt,
    int Attempts,
    string? Reason,
    int? ExitCode,
    int? Signal,
    string? Message,
    double? Percent,
    string? ProgressMessage,
    string? Node,
    UsageView? Usage,
    TimingsView? Timings,
    long? InputBytes,
    long? ResultBytes,
    IReadOnlyDictionary<string, string> Labels,
    DateTimeOffset? ResultExpiresAt,
    string? Runtime = null,
    int? Status = null);

/// <summary>Times in milliseconds, memory and traffic in bytes.</summary>
public sealed record UsageView(double CpuUserMs, double CpuSystemMs, long PeakMemoryBytes, long BytesIn, long BytesOut);

/// <summary>Milliseconds by phase; they follow each other without gaps.</summary>
public sealed record TimingsView(double QueueMs, double PrepareMs, double StartMs, double RunMs, double TotalMs);

/// <param name="Next">Cursor for the next page, or null on the last.</param>
public sealed record RunPage(IReadOnlyList<RunView> Runs, string? Next);

/// <summary>One thing that happened to a run: <c>berth why</c> and the event streams show these.</summary>
/// <param name="Sequence">Rises by one within a run.</param>
/// <param name="Type">For instance <c>accepted</c>, <c>claimed</c>,
/// <c>started</c>, <c>progress</c>, <c>ended</c>, <c>retried</c>.</param>
/// <param name="Detail">A sentence for people.</param>
public sealed record RunEventView(
    string Run, long Sequence, DateTimeOffset At, string Type, int Attempt, string Detail);

public sealed record RunWhy(RunView Run, IReadOnlyList<RunEventView> Events);

/// <summary>RFC 9457, with Berth's members. <c>Stderr</c> is the tail of the program's standard error.</summary>
public sealed record Problem(
    string Type, string Title, int Status, string Detail, string Code, string? RunId = null, int? ExitCode = null,
    string? Stderr = null, UsageView? Usage = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RunView))]
[JsonSerializable(typeof(RunPage))]
[JsonSerializable(typeof(RunEventView))]
[JsonSerializable(typeof(RunWhy))]
[JsonSerializable(typeof(Problem))]
public sealed partial class RunJson : JsonSerializerContext;
