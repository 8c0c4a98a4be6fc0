using System.Text.Json.Serialization;

namespace Berth.Server.Webhooks;

/// <summary>What is sent: an envelope of events with the members that the notifications of docker's registry have, so
/// that what receives those can receive these.</summary>
internal sealed record WebhookEnvelope(IReadOnlyList<WebhookEvent> Events);

/// <param name="Action"><c>push</c> or <c>delete</c>.</param>
internal sealed record WebhookEvent(string Id, DateTimeOffset Timestamp, string Action, WebhookTarget Target);

/// <param name="Length">The size once more, under the name that older receivers read.</param>
/// <param name="Url">Path of the manifest in the registry.</param>
internal sealed record WebhookTarget(
    string MediaType, long Size, long Length, string Digest, string Repository, string Tag, string Url);

/// <summary>An event on its way to one receiver, as its file in the outbox has it.</summary>
internal sealed record OutboxEntry(string Url, string Body, int Attempt, DateTimeOffset FirstDue, DateTimeOffset Due);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(WebhookEnvelope))]
[JsonSerializable(typeof(OutboxEntry))]
internal sealed partial class WebhookJson : JsonSerializerContext;
