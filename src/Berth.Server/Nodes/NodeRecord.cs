using System.Text.Json;
using System.Text.Json.Serialization;
using Berth.Api.Links;

namespace Berth.Server.Nodes;

/// <summary>What is kept about a node while it is gone, and while the server is.</summary>
/// <param name="Certificates">SHA-256 of the certificates it may come with, lower-case hexadecimal: the newest, and the
/// one before until the newest was used. Empty for the server's own node.</param>
/// <param name="Taints">What keeps work away that does not say it bears it.</param>
/// <param name="IsCordoned">It gets nothing new.</param>
/// <param name="SeenAt">When its last link began or ended.</param>
/// <param name="Server">Of a server's own node: the server, where several share a store.</param>
internal sealed record NodeRecord(
    string Name, IReadOnlyList<string> Certificates, DateTimeOffset JoinedAt, DateTimeOffset? ExpiresAt,
    IReadOnlyDictionary<string, string> Labels, IReadOnlyList<string> Taints, bool IsCordoned,
    DateTimeOffset? SeenAt = null, string? Program = null, NodeFacts? Facts = null, string? Server = null)
{
    private static readonly IReadOnlyDictionary<string, string> NoLabels = new Dictionary<string, string>();

    /// <summary>Which change of all nodes it is of, where several servers share them; 0 before it is stored.</summary>
    [JsonIgnore]
    public long Number { get; init; }

    /// <summary>Whether it is a machine that serves, and no node that has joined.</summary>
    [JsonIgnore]
    public bool IsServers => Certificates.Count == 0;

    /// <summary>The server's own node, which has no certificate.</summary>
    /// <param name="server">Null where there is but one.</param>
    public static NodeRecord Own(string name, string? server, DateTimeOffset now) => new(
        name, [], now, null, NoLabels, [], IsCordoned: false, Server: server);

    public byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(this, NodeRecordJson.Default.NodeRecord);

    public static NodeRecord Read(ReadOnlySpan<byte> json) =>
        JsonSerializer.Deserialize(json, NodeRecordJson.Default.NodeRecord)
        ?? throw new InvalidOperationException("The store holds an empty node.");
}

/// <summary>A token for joining as it is kept: never its secret.</summary>
/// <param name="Hash">SHA-256 of the secret, lower-case hexadecimal.</param>
/// <param name="UsedBy">Name of the node that it was spent on.</param>
internal sealed record JoinTokenRecord(
    string Id, string Hash, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, string Caller, string? UsedBy = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(NodeRecord))]
internal sealed partial class NodeRecordJson : JsonSerializerContext;
