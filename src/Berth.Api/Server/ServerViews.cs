using System.Text.Json.Serialization;

namespace Berth.Api.Server;

/// <summary>What a garbage collection did.</summary>
public sealed record CollectionView(int Blobs, int Layers, long Bytes, double DurationMs);

/// <summary>Answer of <c>/healthz</c> and <c>/readyz</c>.</summary>
/// <param name="Status"><c>ok</c> or <c>failing</c>.</param>
public sealed record HealthView(string Status, IReadOnlyList<HealthCheckView> Checks);

/// <param name="Detail">What is wrong and what to do about it; null when all is well.</param>
public sealed record HealthCheckView(string Name, bool Ok, string? Detail);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CollectionView))]
[JsonSerializable(typeof(HealthView))]
public sealed partial class ServerJson : JsonSerializerContext;
