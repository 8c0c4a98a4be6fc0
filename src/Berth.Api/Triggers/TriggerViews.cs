using System.Text.Json.Serialization;

namespace Berth.Api.Triggers;

/// <summary>What is to be a trigger. One of <paramref name="Cron"/>, <paramref name="Webhook"/>,
/// <paramref name="Volume"/> and <paramref name="Events"/> says when it fires.</summary>
/// <param name="Function">Name of the function that it calls.</param>
/// <param name="Cron">Times of a clock: <c>MINUTE HOUR DAY MONTH WEEKDAY</c>, with <c>SECOND</c> before them where
/// there are six, or <c>@hourly</c> and its like.</param>
/// <param name="Zone">Whose clock it is, such as <c>Europe/Berlin</c>; null for UTC.</param>
/// <param name="Concurrency">What happens while the run before goes on: <c>allow</c>, <c>forbid</c> or <c>replace</c>;
/// null for allow.</param>
/// <param name="Missed">What happens to times at which no server ran: <c>skip</c>, or <c>once</c> to make up for the
/// last; null for skip.</param>
/// <param name="CatchUp">How long ago a time may be that is made up for; null for 24 hours.</param>
/// <param name="Body">Of a clock's calls; null for JSON that tells of the time.</param>
/// <param name="ContentType">Of that; null for text/plain.</param>
/// <param name="Webhook">How senders sign: <c>github</c>, <c>timestamped</c> or <c>plain</c>.</param>
/// <param name="Secret">Name of the secret that they sign with.</param>
/// <param name="Header">That has the signature; null for the one that is usual.</param>
/// <param name="Window">How old a timestamped request may be; null for 5 minutes.</param>
/// <param name="Events">CloudEvents: of callers with a token, or what a webhook's bodies are.</param>
/// <param name="Types">Of the events that are taken, <c>*</c> at the end standing for any rest; null for all.</param>
/// <param name="Sources">Likewise.</param>
/// <param name="Volume">Named volume whose new files fire.</param>
/// <param name="Prefix">How paths of them begin; null for all.</param>
/// <param name="Paused">It does not fire; null for as it was.</param>
/// <param name="Project">The set of files that it comes from; null for none.</param>
public sealed record TriggerRequest(
    string? Function = null,
    string? Cron = null,
    string? Zone = null,
    string? Concurrency = null,
    string? Missed = null,
    string? CatchUp = null,
    string? Body = null,
    string? ContentType = null,
    string? Webhook = null,
    string? Secret = null,
    string? Header = null,
    string? Window = null,
    bool? Events = null,
    IReadOnlyList<string>? Types = null,
    IReadOnlyList<string>? Sources = null,
    string? Volume = null,
    string? Prefix = null,
    bool? Paused = null,
    string? Project = null);

/// <summary>What is told about a trigger.</summary>
/// <param name="Kind"><c>clock</c>, <c>webhook</c>, <c>events</c> or <c>upload</c>.</param>
/// <param name="Caller">Name of the token that made it, whose its runs are.</param>
/// <param name="Spec">All of its settings.</param>
/// <param name="Next">When a clock fires next, in its own zone; null where it does not.</param>
/// <param name="Firings">What became of the last ones, newest first; null in lists.</param>
public sealed record TriggerView(
    string Name, string Kind, string Function, bool Paused, DateTimeOffset CreatedAt, string Caller,
    TriggerRequest Spec, IReadOnlyList<DateTimeOffset>? Next = null, IReadOnlyList<FiringView>? Firings = null);

/// <summary>What the same request would lead to; nothing was changed.</summary>
/// <param name="Changed">False where everything is so already.</param>
/// <param name="Before">Settings of now, all of them; null where there is no such trigger.</param>
/// <param name="After">Settings as they would be, with what is left to the server filled in.</param>
public sealed record TriggerPlan(string Name, bool Changed, TriggerRequest? Before, TriggerRequest After);

/// <summary>One firing of a trigger.</summary>
/// <param name="Key">What it was about: a time, a delivery, an event or a file.</param>
/// <param name="Outcome"><c>fired</c>; <c>skipped</c>, because the run before had not ended; <c>missed</c>, because no
/// server ran; <c>failed</c>, because the function can't be called.</param>
/// <param name="Run">Id of the run; null where none was made.</param>
/// <param name="Detail">Why not, or which file.</param>
public sealed record FiringView(string Key, DateTimeOffset At, string Outcome, string? Run, string? Detail);

/// <summary>By name.</summary>
public sealed record TriggerList(IReadOnlyList<TriggerView> Triggers);

/// <summary>What became of an event that was sent.</summary>
/// <param name="Taken">False where the trigger's filter lets it pass by.</param>
/// <param name="Run">Id of the run that it is; the same for an event that was sent before.</param>
public sealed record EventView(string Id, bool Taken, string? Run = null);

/// <summary>In the order in which they were sent.</summary>
public sealed record EventList(IReadOnlyList<EventView> Events);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TriggerRequest))]
[JsonSerializable(typeof(TriggerView))]
[JsonSerializable(typeof(TriggerList))]
[JsonSerializable(typeof(TriggerPlan))]
[JsonSerializable(typeof(FiringView))]
[JsonSerializable(typeof(EventList))]
public sealed partial class TriggerJson : JsonSerializerContext;
