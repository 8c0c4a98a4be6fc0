using System.Text.Json.Serialization;

namespace Berth.Api.Nodes;

/// <summary>Answer of <c>GET /v1/node</c>: the machine that runs sandboxes, and how busy it is.</summary>
/// <param name="Sandboxes">Sandboxes by state: preparing, ready, running, removing.</param>
/// <param name="Waiting">Calls waiting for a place.</param>
/// <param name="Queued">Tasks waiting for a place.</param>
public sealed record NodeView(
    string Name, string Engine, int CgroupVersion, int Cores, long MemoryBytes,
    IReadOnlyDictionary<string, int> Sandboxes, int Waiting, int Queued);

/// <summary>Answer of <c>GET /v1/version</c>.</summary>
public sealed record VersionView(string Version, string Runtime, string OperatingSystem, string Architecture);

/// <summary>One sandbox, as <c>berth ps</c> shows it.</summary>
/// <param name="State">preparing, ready, running or removing.</param>
/// <param name="Run">The run in it; null while it stands ready.</param>
public sealed record SandboxLine(string Id, string State, string? Run, string Image, DateTimeOffset CreatedAt);

/// <summary>Answer of <c>GET /v1/sandboxes</c>.</summary>
public sealed record SandboxList(IReadOnlyList<SandboxLine> Sandboxes);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(NodeView))]
[JsonSerializable(typeof(VersionView))]
[JsonSerializable(typeof(SandboxList))]
public sealed partial class NodeJson : JsonSerializerContext;
