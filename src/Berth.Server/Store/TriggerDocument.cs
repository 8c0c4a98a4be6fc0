using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Runs;
using Berth.Core.Triggers;

namespace Berth.Server.Store;

/// <summary>A trigger as the store keeps it: JSON of plain values, absent where default.</summary>
internal sealed record TriggerDocument(
    string Id, string Name, string Function, bool IsPaused, DateTimeOffset CreatedAt, string Caller,
    ClockDocument? Clock = null, string? Body = null, string? ContentType = null, WebhookDocument? Webhook = null,
    EventFilter? Events = null, UploadSpec? Upload = null, string? Project = null)
{
    public static byte[] Write(Trigger trigger) => JsonSerializer.SerializeToUtf8Bytes(
        new TriggerDocument(
            trigger.Id.Text, trigger.Name, trigger.Function, trigger.IsPaused, trigger.CreatedAt, trigger.Caller,
            trigger.Clock is { } clock ? ClockDocument.Of(clock) : null, trigger.Body, trigger.ContentType,
            trigger.Webhook is { } hook ? WebhookDocument.Of(hook) : null, trigger.Events, trigger.Upload,
            trigger.Project),
        TriggerDocumentJson.Default.TriggerDocument);

    public static Trigger Read(ReadOnlySpan<byte> json)
    {
        TriggerDocument document = JsonSerializer.Deserialize(json, TriggerDocumentJson.Default.TriggerDocument)
            ?? throw new InvalidOperationException("The store holds an empty trigger.");
        return new Trigger(
            RunId.Parse(document.Id), document.Name, document.Function, document.IsPaused, document.CreatedAt,
            document.Caller, document.Clock?.Spec, document.Body, document.ContentType, document.Webhook?.Spec,
            document.Events, document.Upload, document.Project);
    }
}

/// <summary>A zone that the machine has no more is taken for UTC: the server starts all the same.</summary>
internal sealed record ClockDocument(
    string Line, string Zone, ClockConcurrency Concurrency, MissedTimes Missed, long CatchUpMs)
{
    [JsonIgnore]
    public ClockSpec Spec => new(
        new CronZone(
            CronLine.TryParse(Line, out CronLine? line)
                ? line
                : throw new InvalidOperationException($"The store holds a cron line '{Line}'."),
            TimeZoneInfo.TryFindSystemTimeZoneById(Zone, out TimeZoneInfo? zone) ? zone : TimeZoneInfo.Utc),
        Concurrency, Missed, TimeSpan.FromMilliseconds(CatchUpMs));

    public static ClockDocument Of(ClockSpec clock) => new(
        clock.Times.Line.Text, clock.Times.Zone.Id, clock.Concurrency, clock.Missed,
        (long)clock.CatchUp.TotalMilliseconds);
}

internal sealed record WebhookDocument(
    WebhookStyle Style, string Header, string Secret, long WindowMs, bool IsEvents)
{
    [JsonIgnore]
    public WebhookSpec Spec => new(Style, Header, Secret, TimeSpan.FromMilliseconds(WindowMs), IsEvents);

    public static WebhookDocument Of(WebhookSpec hook) => new(
        hook.Style, hook.Header, hook.Secret, (long)hook.Window.TotalMilliseconds, hook.IsEvents);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(TriggerDocument))]
internal sealed partial class TriggerDocumentJson : JsonSerializerContext;
