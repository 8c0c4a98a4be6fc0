using System.Text.Json.Serialization;

namespace Berth.Api.Networks;

/// <summary>What is to be a network.</summary>
/// <param name="Name">1 to 63 small letters, digits and <c>-</c>.</param>
/// <param name="Driver"><c>bridge</c>, which is the default, on the server's machine; <c>overlay</c> on all nodes.
/// </param>
/// <param name="Subnet">Private IPv4 addresses, such as <c>10.20.0.0/24</c>; null for some that are chosen.</param>
/// <param name="Internal">Nothing outside of it can be reached.</param>
/// <param name="Mtu">Bytes of the largest packet; null for 1500, or what fits between machines.</param>
/// <param name="Egress">Rules such as <c>allow:10.1.0.0/16</c> and <c>deny:0.0.0.0/0</c>; the first that fits decides.
/// </param>
/// <param name="Encrypted">Of an overlay: what goes between nodes is encrypted, and nothing goes where it can't be.
/// </param>
public sealed record NetworkRequest(
    string? Name = null, string? Driver = null, string? Subnet = null, bool Internal = false, int? Mtu = null,
    IReadOnlyList<string>? Egress = null, IReadOnlyDictionary<string, string>? Labels = null, bool? Encrypted = null);

/// <summary>What is told about a network.</summary>
/// <param name="Owner">Name of the token that made it.</param>
/// <param name="Driver"><c>bridge</c> or <c>overlay</c>.</param>
/// <param name="Gateway">Its own address, where its resolver is too; of an overlay on the server's machine.</param>
/// <param name="Users">What is in it, such as <c>container web</c>.</param>
/// <param name="Parts">Of an overlay: which node has which addresses. Null otherwise.</param>
/// <param name="Encrypted">Of an overlay: whether what goes between nodes is encrypted. Null otherwise.</param>
public sealed record NetworkView(
    string Id, string Name, string Owner, string Driver, string Subnet, string Gateway, bool Internal, int Mtu,
    IReadOnlyList<string> Egress, DateTimeOffset CreatedAt, IReadOnlyDictionary<string, string> Labels,
    IReadOnlyList<string> Users, IReadOnlyList<NetworkPart>? Parts = null, bool? Encrypted = null);

/// <summary>A node's addresses in a network that is on several.</summary>
public sealed record NetworkPart(string Node, string Subnet);

/// <summary>By name.</summary>
public sealed record NetworkList(IReadOnlyList<NetworkView> Networks);

/// <summary>Names of what was removed.</summary>
public sealed record NetworkPruneResult(IReadOnlyList<string> Networks);

/// <summary>A port of the machine that leads to one of a container.</summary>
/// <param name="Port">Of the machine.</param>
/// <param name="Target">Of the container.</param>
/// <param name="Protocol"><c>tcp</c>, which is the default, or <c>udp</c>.</param>
/// <param name="Address">Of the machine; null for all of them.</param>
public sealed record PortView(int Port, int Target, string? Protocol = null, string? Address = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(NetworkRequest))]
[JsonSerializable(typeof(NetworkView))]
[JsonSerializable(typeof(NetworkList))]
[JsonSerializable(typeof(NetworkPruneResult))]
public sealed partial class NetworkJson : JsonSerializerContext;
