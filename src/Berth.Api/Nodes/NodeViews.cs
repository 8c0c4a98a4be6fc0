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

/// <summary>A machine that runs sandboxes for this server, answer of <c>GET /v1/nodes/{name}</c>.</summary>
/// <param name="State">joined, ready, suspect, lost or refused.</param>
/// <param name="Own">Whether it is the server's own machine.</param>
/// <param name="Cordoned">Whether it gets nothing new.</param>
/// <param name="Problem">Why it is refused.</param>
/// <param name="Running">Attempts of calls and tasks that it has.</param>
/// <param name="Places">How many it may have at once.</param>
/// <param name="Taints">What keeps work away that does not bear it.</param>
/// <param name="Facts">What it said of itself; not told of the server's own.</param>
/// <param name="Load">Its last heartbeat; null while it has no link.</param>
/// <param name="CertificateEnd">When its certificate ends; it is renewed long before.</param>
/// <param name="SharesLayers">Address and port where other nodes may fetch layers from it; null for nowhere, and while
/// it has no link.</param>
public sealed record MachineView(
    string Name, string State, bool Own, bool Cordoned, string? Problem, int Running, int Places,
    IReadOnlyDictionary<string, string> Labels, IReadOnlyList<string> Taints, MachineProfile? Facts, MachineLoad? Load,
    string? Version, DateTimeOffset JoinedAt, DateTimeOffset? SeenAt, DateTimeOffset? CertificateEnd,
    string? SharesLayers = null);

/// <param name="Features">Of the processor, such as avx2.</param>
public sealed record MachineProfile(
    string Engine, int CgroupVersion, int Cores, long MemoryBytes, string Architecture, string OperatingSystem,
    string Kernel, IReadOnlyList<string> Features, IReadOnlyList<MachineDevice> Devices);

/// <summary>An accelerator.</summary>
public sealed record MachineDevice(string Model, long MemoryBytes);

/// <param name="Average">The kernel's load average of a minute.</param>
/// <param name="Prepared">Sandboxes that stand ready.</param>
/// <param name="Images">Digests of images that it can run without fetching anything.</param>
/// <param name="Coming">Digests of images that it fetches before something needs them; null for none.</param>
/// <param name="FetchedFromNeighboursBytes">Of images, since it started; null of the server's own and of older nodes.
/// </param>
/// <param name="FetchedFromServersBytes">The same.</param>
public sealed record MachineLoad(
    double Average, long MemoryFreeBytes, long DiskFreeBytes, long DiskBytes, int Prepared,
    IReadOnlyList<string> Images, IReadOnlyList<string>? Coming = null, long? FetchedFromNeighboursBytes = null,
    long? FetchedFromServersBytes = null);

/// <summary>How far a drain is, all by name, and of all servers that share the store.</summary>
/// <param name="Moved">Containers that are started on other nodes now.</param>
/// <param name="Staying">Those that are not.</param>
/// <param name="Running">What the node still has, those two among it; null of servers of before.</param>
/// <param name="Unasked">Servers whose part is not known; null for none.</param>
public sealed record MachineDrain(
    MachineView Node, IReadOnlyList<string> Moved, IReadOnlyList<StayingContainer> Staying, int? Running = null,
    IReadOnlyList<UnaskedServer>? Unasked = null);

/// <param name="Reason">What keeps it, for people.</param>
/// <param name="Server">Whose it is; null for the server that answers.</param>
public sealed record StayingContainer(string Container, string Reason, string? Server = null);

/// <param name="Reason">Why it could not be asked, for people.</param>
public sealed record UnaskedServer(string Server, string Reason);

/// <summary>By name.</summary>
public sealed record MachineList(IReadOnlyList<MachineView> Nodes);

/// <summary>Body of <c>PATCH /v1/nodes/{name}</c>: what is absent stays.</summary>
/// <param name="Labels">Each replaces the one of its name.</param>
/// <param name="RemoveLabels">Names of those that go.</param>
/// <param name="Taints">All of them, NAME or NAME=VALUE.</param>
public sealed record NodePatch(
    IReadOnlyDictionary<string, string>? Labels = null, IReadOnlyList<string>? RemoveLabels = null,
    IReadOnlyList<string>? Taints = null);

/// <summary>Body of <c>POST /v1/node-tokens</c>.</summary>
/// <param name="ExpiresIn">Such as 1h, which is the default; at most 7 days.</param>
public sealed record JoinTokenRequest(string? ExpiresIn = null);

/// <param name="Token">The whole of it; it can't be read again.</param>
public sealed record JoinTokenCreated(string Id, string Token, DateTimeOffset ExpiresAt);

/// <summary>A token for joining, never its secret.</summary>
/// <param name="State">valid, used or expired.</param>
/// <param name="Caller">Who made it.</param>
/// <param name="UsedBy">Node that has joined with it; null for none.</param>
public sealed record JoinTokenView(
    string Id, string State, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt, string Caller, string? UsedBy);

/// <summary>Answer of <c>GET /v1/node-tokens</c>, the newest first. What is spent or expired is kept until another
/// token is made after its end.</summary>
public sealed record JoinTokenList(IReadOnlyList<JoinTokenView> Tokens);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(NodeView))]
[JsonSerializable(typeof(MachineDrain))]
[JsonSerializable(typeof(VersionView))]
[JsonSerializable(typeof(SandboxList))]
[JsonSerializable(typeof(MachineView))]
[JsonSerializable(typeof(MachineList))]
[JsonSerializable(typeof(NodePatch))]
[JsonSerializable(typeof(JoinTokenRequest))]
[JsonSerializable(typeof(JoinTokenCreated))]
[JsonSerializable(typeof(JoinTokenList))]
[JsonSerializable(typeof(JoinTokenView))]
public sealed partial class NodeJson : JsonSerializerContext;
