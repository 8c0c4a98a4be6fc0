using System.Text.Json.Serialization;
using Berth.Api.Networks;

namespace Berth.Server.NetworkEndpoints;

/// <summary>Requests as they come in: a member that there is not is a slip of the keyboard, and told.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(NetworkRequest))]
internal sealed partial class NetworkRequestJson : JsonSerializerContext;
