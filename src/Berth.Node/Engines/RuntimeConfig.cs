using System.Text.Json.Serialization;

namespace Berth.Node.Engines;

// The parts of the OCI runtime specification 1.0.2 (config.md, config-linux.md) that a sandbox needs.

internal sealed record RuntimeConfig(
    string OciVersion, RuntimeProcess Process, RuntimeRoot Root, string Hostname, IReadOnlyList<RuntimeMount> Mounts,
    RuntimeLinux Linux);

internal sealed record RuntimeProcess(
    RuntimeUser User, IReadOnlyList<string> Args, IReadOnlyList<string> Env, string Cwd,
    RuntimeCapabilities Capabilities,
    IReadOnlyList<RuntimeRlimit> Rlimits, bool NoNewPrivileges, bool Terminal = false,
    RuntimeConsole? ConsoleSize = null);

internal sealed record RuntimeConsole(int Height, int Width);

internal sealed record RuntimeUser(int Uid, int Gid, IReadOnlyList<int>? AdditionalGids = null);

internal sealed record RuntimeCapabilities(
    IReadOnlyList<string> Bounding, IReadOnlyList<string> Effective, IReadOnlyList<string> Permitted);

internal sealed record RuntimeRlimit(string Type, ulong Hard, ulong Soft);

internal sealed record RuntimeRoot(string Path, bool Readonly);

internal sealed record RuntimeMount(string Destination, string Type, string Source, IReadOnlyList<string> Options);

internal sealed record RuntimeLinux(
    IReadOnlyList<RuntimeIdMapping> UidMappings, IReadOnlyList<RuntimeIdMapping> GidMappings, string CgroupsPath,
    RuntimeResources Resources, IReadOnlyList<RuntimeNamespace> Namespaces, IReadOnlyList<string> MaskedPaths,
    IReadOnlyList<string> ReadonlyPaths, RuntimeSeccomp? Seccomp = null);

internal sealed record RuntimeIdMapping(
    [property: JsonPropertyName("containerID")] uint ContainerId, [property: JsonPropertyName("hostID")] uint HostId,
    uint Size);

/// <param name="Path">Of one that is there; null for a new one.</param>
internal sealed record RuntimeNamespace(string Type, string? Path = null);

internal sealed record RuntimeResources(
    IReadOnlyList<RuntimeDeviceRule> Devices, RuntimeMemory Memory, RuntimeCpu Cpu, RuntimePids Pids);

internal sealed record RuntimeDeviceRule(bool Allow, string Access);

/// <param name="Swap">Memory and swap together; equal to the limit it means no swap.</param>
internal sealed record RuntimeMemory(long Limit, long? Swap);

/// <param name="DefaultErrnoRet">What refused calls answer.</param>
internal sealed record RuntimeSeccomp(
    string DefaultAction, int DefaultErrnoRet, IReadOnlyList<string> Architectures,
    IReadOnlyList<RuntimeSystemCalls> Syscalls);

internal sealed record RuntimeSystemCalls(
    IReadOnlyList<string> Names, string Action, IReadOnlyList<RuntimeArgument>? Args = null, int? ErrnoRet = null);

/// <param name="Value">The mask, of a masked comparison.</param>
internal sealed record RuntimeArgument(int Index, ulong Value, ulong ValueTwo, string Op);

/// <summary>Microseconds.</summary>
internal sealed record RuntimeCpu(long Quota, ulong Period, ulong Shares);

internal sealed record RuntimePids(long Limit);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RuntimeConfig))]
[JsonSerializable(typeof(RuntimeProcess))]
[JsonSerializable(typeof(RuntimeSeccomp))]
internal sealed partial class RuntimeJson : JsonSerializerContext;
