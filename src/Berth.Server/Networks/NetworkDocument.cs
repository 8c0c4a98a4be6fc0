using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Core.Networks;

namespace Berth.Server.Networks;

/// <summary>A network as the store keeps it: JSON of plain values, absent where default.</summary>
/// <param name="EncryptedSegment">In place of <paramref name="Segment"/>: a server that does not know of encryption
/// finds no network across nodes, and brings none into clear.</param>
internal sealed record NetworkDocument(
    string Id, string Name, string Owner, string Subnet, bool Internal, int Mtu, string? Egress,
    DateTimeOffset CreatedAt, IReadOnlyDictionary<string, string>? Labels, int? Segment = null,
    IReadOnlyList<SubnetLease>? Leases = null, int? EncryptedSegment = null)
{
    private static readonly IReadOnlyDictionary<string, string> Nothing = new Dictionary<string, string>();

    public static byte[] Write(Network network)
    {
        NetworkDefinition definition = network.Definition;
        return JsonSerializer.SerializeToUtf8Bytes(
            new NetworkDocument(
                definition.Id, definition.Name, network.Owner, definition.Subnet.ToString(), definition.IsInternal,
                definition.Mtu, definition.Egress.Length == 0 ? null : definition.Egress, network.CreatedAt,
                network.Labels.Count == 0 ? null : network.Labels, network.IsEncrypted ? null : network.Segment,
                network.Leases.Count == 0 ? null : network.Leases, network.IsEncrypted ? network.Segment : null),
            NetworkDocumentJson.Default.NetworkDocument);
    }

    public static Network Read(ReadOnlySpan<byte> json)
    {
        NetworkDocument document = JsonSerializer.Deserialize(json, NetworkDocumentJson.Default.NetworkDocument)
            ?? throw new InvalidOperationException("The store holds an empty network.");
        return new Network(
            new NetworkDefinition(
                document.Id, document.Name, IPNetwork.Parse(document.Subnet), document.Internal, document.Mtu,
                document.Egress ?? ""),
            document.Owner, document.CreatedAt, document.Labels ?? Nothing,
            document.EncryptedSegment ?? document.Segment)
        {
            IsEncrypted = document.EncryptedSegment is not null,
            Leases = document.Leases ?? [],
        };
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(NetworkDocument))]
internal sealed partial class NetworkDocumentJson : JsonSerializerContext;
