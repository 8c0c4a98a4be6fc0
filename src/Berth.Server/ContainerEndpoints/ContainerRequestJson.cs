using System.Text.Json.Serialization;
using Berth.Api.Containers;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Requests as they come in: a member that there is not is a slip of the keyboard, and told.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(ContainerRequest))]
[JsonSerializable(typeof(VolumeRequest))]
[JsonSerializable(typeof(SystemPruneRequest))]
[JsonSerializable(typeof(StreamMessage))]
internal sealed partial class ContainerRequestJson : JsonSerializerContext;
