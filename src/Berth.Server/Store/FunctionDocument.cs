using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Functions;
using Berth.Core.Scaling;
using Berth.Core.Triggers;

namespace Berth.Server.Store;

/// <summary>A function as the store keeps it: JSON of plain values, absent where default.</summary>
internal sealed record FunctionDocument(
    string Name, DateTimeOffset CreatedAt, IReadOnlyList<RevisionDocument> Revisions, TrafficDocument Traffic,
    TrafficDocument? Before, RolloutDocument? Rollout = null, IReadOnlyList<string>? Hosts = null,
    bool IsPublic = false)
{
    public static byte[] Write(Function function) => JsonSerializer.SerializeToUtf8Bytes(
        new FunctionDocument(
            function.Name, function.CreatedAt, [.. function.Revisions.Select(RevisionDocument.Of)],
            TrafficDocument.Of(function.Traffic),
            function.Before is null ? null : TrafficDocument.Of(function.Before),
            function.Rollout is null ? null : RolloutDocument.Of(function.Rollout),
            function.Edge.Hosts.Count == 0 ? null : function.Edge.Hosts, function.Edge.IsPublic),
        FunctionDocumentJson.Default.FunctionDocument);

    /// <summary>The same bytes for settings that are the same.</summary>
    public static byte[] Write(FunctionSpec spec) => JsonSerializer.SerializeToUtf8Bytes(
        RevisionDocument.Of(new Revision(0, spec, default, "")), FunctionDocumentJson.Default.RevisionDocument);

    public static Function Read(ReadOnlySpan<byte> json)
    {
        FunctionDocument document = JsonSerializer.Deserialize(json, FunctionDocumentJson.Default.FunctionDocument)
            ?? throw new InvalidOperationException("The store holds an empty function.");
        return new Function(
            document.Name, document.CreatedAt, [.. document.Revisions.Select(r => r.Revision)],
            document.Traffic.Split, document.Before?.Split, document.Rollout?.Rollout,
            document.Hosts is null && !document.IsPublic
                ? null
                : new FunctionEdge(document.Hosts ?? [], document.IsPublic));
    }
}

internal sealed record RevisionDocument(
    int Number, DateTimeOffset CreatedAt, string Caller, RunSpecDocument Run, bool PassArguments,
    int MaxRunning, int MaxWaiting, ServiceDocument? Service = null, long? KeepMs = null, bool SingleFlight = false)
{
    [JsonIgnore]
    public Revision Revision => new(
        Number,
        new FunctionSpec(
            Run.Spec, PassArguments, MaxRunning, MaxWaiting, Service?.Spec,
            KeepMs is null && !SingleFlight
                ? null
                : new ResultPolicy(KeepMs is { } keep ? TimeSpan.FromMilliseconds(keep) : null, SingleFlight)),
        CreatedAt, Caller);

    public static RevisionDocument Of(Revision revision) => new(
        revision.Number, revision.CreatedAt, revision.Caller, RunSpecDocument.Of(revision.Spec.Run),
        revision.Spec.PassArguments, revision.Spec.MaxRunning, revision.Spec.MaxWaiting,
        revision.Spec.Service is { } service ? ServiceDocument.Of(service) : null,
        (long?)revision.Spec.Results?.KeepFor?.TotalMilliseconds, revision.Spec.Results is { SingleFlight: true });
}

internal sealed record ServiceDocument(
    int Port, string? ProbePath, int Concurrency, int Min, int Max, int Target, long IdleMs, long DownDelayMs,
    long StartLimitMs, LambdaSpec? Lambda = null, long? FreezeMs = null, IReadOnlyList<WarmDocument>? Warm = null)
{
    [JsonIgnore]
    public ServiceSpec Spec => new(
        Port, ProbePath, Concurrency,
        new ScaleSpec(
            Min, Max, Target, TimeSpan.FromMilliseconds(IdleMs), TimeSpan.FromMilliseconds(DownDelayMs),
            FreezeMs is { } freeze ? TimeSpan.FromMilliseconds(freeze) : null,
            WarmSchedule.Of([.. (Warm ?? []).Select(w => w.Window)])),
        TimeSpan.FromMilliseconds(StartLimitMs), Lambda);

    public static ServiceDocument Of(ServiceSpec service) => new(
        service.Port, service.ProbePath, service.Concurrency, service.Scale.Min, service.Scale.Max,
        service.Scale.Target, (long)service.Scale.IdleExpiry.TotalMilliseconds,
        (long)service.Scale.DownDelay.TotalMilliseconds, (long)service.StartLimit.TotalMilliseconds,
        service.Lambda, (long?)service.Scale.FreezeAfter?.TotalMilliseconds,
        service.Scale.Warm is { } warm ? [.. warm.Windows.Select(WarmDocument.Of)] : null);
}

/// <summary>A zone that the machine has no more is taken for UTC: the server starts all the same.</summary>
internal sealed record WarmDocument(string Start, string End, string Zone, int Min)
{
    [JsonIgnore]
    public WarmWindow Window => new(Times(Start), Times(End), Min);

    public static WarmDocument Of(WarmWindow window) => new(
        window.Start.Line.Text, window.End.Line.Text, window.Start.Zone.Id, window.Min);

    private CronZone Times(string text) => new(
        CronLine.TryParse(text, out CronLine? line)
            ? line
            : throw new InvalidOperationException($"The store holds a cron line '{text}'."),
        TimeZoneInfo.TryFindSystemTimeZoneById(Zone, out TimeZoneInfo? zone) ? zone : TimeZoneInfo.Utc);
}

internal sealed record TrafficDocument(
    IReadOnlyList<TrafficShare> Shares, IReadOnlyDictionary<string, int>? Tags,
    IReadOnlyList<MatchDocument>? Matches = null, bool IsSticky = false)
{
    [JsonIgnore]
    public TrafficSplit Split => TrafficSplit.Of(
        Shares, Tags ?? new Dictionary<string, int>(), [.. (Matches ?? []).Select(m => m.Match)], IsSticky);

    public static TrafficDocument Of(TrafficSplit split) => new(
        split.Shares, split.Tags.Count == 0 ? null : split.Tags,
        split.Matches.Count == 0 ? null : [.. split.Matches.Select(m => new MatchDocument(m.Text, m.Revision))],
        split.IsSticky);
}

internal sealed record MatchDocument(string Rule, int Revision)
{
    [JsonIgnore]
    public TrafficMatch Match => TrafficMatch.Parse(Rule, Revision);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(FunctionDocument))]
internal sealed partial class FunctionDocumentJson : JsonSerializerContext;
