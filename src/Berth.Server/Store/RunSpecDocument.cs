using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Core.Secrets;

namespace Berth.Server.Store;

/// <summary>
/// A run's specification as the store keeps it: JSON of plain values, short names, absent where default.
/// </summary>
internal sealed record RunSpecDocument(
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
    long TimeoutMs,
    long GraceMs,
    int MaxAttempts,
    bool RetryFailures,
    long? MaxAgeMs,
    long OutputLimit,
    string? ResultContentType,
    string? Callback,
    IReadOnlyDictionary<string, string>? Labels,
    string? Runtime = null,
    string? Family = null,
    ServiceCall? Service = null,
    long? RetryDelayMs = null,
    long? RetryMaxDelayMs = null,
    string? RetryOn = null,
    string? OnSuccess = null,
    string? OnFailure = null,
    int Hops = 0,
    IReadOnlyList<string>? Secrets = null,
    int? Reuse = null,
    string? CacheControl = null,
    IReadOnlyList<string>? Constraints = null,
    IReadOnlyList<string>? Tolerations = null,
    string? Spread = null,
    int Priority = RunPriority.Usual,
    NetworkUse? Bridge = null,
    IReadOnlyList<string>? Mounts = null)
{
    private static readonly IReadOnlyDictionary<string, string> Nothing = new Dictionary<string, string>();

    /// <summary>Variables that may be new with every request, also with one that is sent again: its trace, its framing,
    /// and what clients and proxies say of themselves. Any other header is the caller's word to the program.</summary>
    private static readonly FrozenSet<string> PerRequest = new[]
    {
        "TRACEPARENT", "TRACESTATE", "BERTH_PARENT_SPAN", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_USER_AGENT",
        "HTTP_DATE", "HTTP_VIA",
        "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID", "HTTP_X_CORRELATION_ID", "HTTP_ACCEPT_ENCODING",
        "HTTP_X_AMZN_TRACE_ID",
    }.ToFrozenSet();

    public static byte[] Write(RunSpec spec) =>
        JsonSerializer.SerializeToUtf8Bytes(Of(spec), RunSpecJson.Default.RunSpecDocument);

    /// <summary>What a caller asked for, the same for a request that is sent again: without what belongs to the one
    /// message, and without the digest that a name stood for at the time.</summary>
    public static byte[] WriteRequest(RunSpec spec) => JsonSerializer.SerializeToUtf8Bytes(
        Of(spec) with
        {
            Digest = "",
            Environment = Sorted(spec.Environment.Where(IsOfTheRequest)),
            Labels = Sorted(spec.Labels),
            Service = spec.Service is { } call
                ? call with { Revision = 0, Fields = [.. call.Fields.Where(IsOfTheRequest)] }
                : null,
        },
        RunSpecJson.Default.RunSpecDocument);

    [JsonIgnore]
    public RunSpec Spec => new(
        Image,
        Core.Images.Digest.Parse(Digest),
        new SandboxLimits(
            ByteSize.FromBytes(Memory), CpuQuota.FromMillicores(Millicores), Pids, ByteSize.FromBytes(WritableLayer)),
        Network,
        Command,
        Arguments,
        Environment ?? Nothing,
        User,
        WorkingDirectory,
        TimeSpan.FromMilliseconds(TimeoutMs),
        TimeSpan.FromMilliseconds(GraceMs),
        new RetryPolicy(MaxAttempts, RetryFailures)
        {
            BaseDelay = Span(RetryDelayMs) ?? RetryPolicy.UsualBaseDelay,
            MaxDelay = Span(RetryMaxDelayMs) ?? RetryPolicy.UsualMaxDelay,
            On = RetryOn is null ? null : RetryRules.Restore(RetryOn),
        },
        Span(MaxAgeMs),
        ByteSize.FromBytes(OutputLimit),
        ResultContentType ?? "application/octet-stream",
        Callback is { } callback ? new Uri(callback) : null,
        Labels ?? Nothing,
        Runtime,
        Family,
        Service,
        OnSuccess is null ? null : Destination.Restore(OnSuccess),
        OnFailure is null ? null : Destination.Restore(OnFailure),
        Hops,
        Secrets is null ? null : [.. Secrets.Select(SecretUse.Restore)],
        Reuse,
        CacheControl,
        PlacementRules.Parse(Constraints, Tolerations, Spread),
        Priority,
        Bridge,
        Mounts is null ? null : [.. Mounts.Select(RunMount.Read)]);

    public static RunSpec Read(ReadOnlySpan<byte> json) =>
        (JsonSerializer.Deserialize(json, RunSpecJson.Default.RunSpecDocument)
            ?? throw new JsonException("The store holds a run without a specification.")).Spec;

    public static RunSpecDocument Of(RunSpec spec) => new(
        spec.Image, spec.Digest.Text, spec.Limits.Memory.Bytes, spec.Limits.Cpu.Millicores, spec.Limits.Pids,
        spec.Limits.WritableLayer.Bytes, spec.Network, spec.Command, spec.Arguments,
        spec.Environment.Count == 0 ? null : spec.Environment, spec.User, spec.WorkingDirectory,
        (long)spec.Timeout.TotalMilliseconds, (long)spec.Grace.TotalMilliseconds, spec.Retry.MaxAttempts,
        spec.Retry.OnProgramFailure, (long?)spec.MaxAge?.TotalMilliseconds, spec.OutputLimit.Bytes,
        spec.ResultContentType, spec.Callback?.OriginalString, spec.Labels.Count == 0 ? null : spec.Labels,
        spec.Runtime, spec.Family, spec.Service, Unusual(spec.Retry.BaseDelay, RetryPolicy.UsualBaseDelay),
        Unusual(spec.Retry.MaxDelay, RetryPolicy.UsualMaxDelay), spec.Retry.On?.Text,
        spec.OnSuccess?.Text, spec.OnFailure?.Text, spec.Hops,
        spec.Secrets is null ? null : [.. spec.Secrets.Select(s => s.Text)], spec.Reuse,
        spec.CacheControl,
        spec.Placement is { Constraints.Count: > 0 } ? [.. spec.Placement.Constraints.Select(c => c.Text)] : null,
        spec.Placement is { Tolerations.Count: > 0 } ? [.. spec.Placement.Tolerations.Select(t => t.Text)] : null,
        spec.Placement?.Spread, spec.Priority, spec.Bridge,
        spec.Mounts is null ? null : [.. spec.Mounts.Select(m => m.Text)]);

    private static TimeSpan? Span(long? milliseconds) =>
        milliseconds is { } known ? TimeSpan.FromMilliseconds(known) : null;

    private static long? Unusual(TimeSpan span, TimeSpan usual) =>
        span == usual ? null : (long)span.TotalMilliseconds;

    private static bool IsOfTheRequest(KeyValuePair<string, string> variable) => IsOfTheRequest(variable.Key);

    private static bool IsOfTheRequest(string variable) =>
        !PerRequest.Contains(variable) && !variable.StartsWith("HTTP_X_FORWARDED_", StringComparison.Ordinal);

    /// <summary>By the rules of the variables that other programs get for their headers.</summary>
    private static bool IsOfTheRequest(HeaderField field)
    {
        string name = field.Name.ToUpperInvariant().Replace('-', '_');
        return IsOfTheRequest(name) && IsOfTheRequest("HTTP_" + name);
    }

    private static SortedDictionary<string, string> Sorted(IEnumerable<KeyValuePair<string, string>> pairs) =>
        new(pairs.ToDictionary(), StringComparer.Ordinal);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(RunSpecDocument))]
internal sealed partial class RunSpecJson : JsonSerializerContext;
