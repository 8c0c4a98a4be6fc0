using System.Text.Json.Serialization;

namespace Berth.Server.Triggers;

/// <summary>What a clock tells where it was given nothing to tell.</summary>
internal sealed record ClockData(string Trigger, string ScheduledAt);

/// <summary>What is told of a file.</summary>
internal sealed record UploadData(string Volume, string Path, long Size, DateTimeOffset ModifiedAt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ClockData))]
[JsonSerializable(typeof(UploadData))]
internal sealed partial class TriggerDataJson : JsonSerializerContext;
