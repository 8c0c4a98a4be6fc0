using System.Net;
using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Server.Store.Postgres;

namespace Berth.Server.Configuration;

/// <summary>
/// What the operator decided, checked and ready to use. Made only by <see cref="ConfigurationReader"/> from the table
/// in <see cref="ConfigurationKeys"/>, which describes every member and holds its default.
/// </summary>
public sealed record ServerOptions
{
    public string DataFolder { get; init; } = "";

    /// <summary>Of the database that keeps the records; null for a file in the data folder.</summary>
    public PostgresAddress? Store { get; init; }

    public string? StorePasswordFile { get; init; }

    public IReadOnlyList<ListenAddress> Listen { get; init; } = [];

    public string NodeName { get; init; } = "";

    /// <summary>Where nodes of other machines dial; empty for nowhere.</summary>
    public IReadOnlyList<ListenAddress> NodeListen { get; init; } = [];

    /// <summary>Where nodes and other servers reach <see cref="NodeListen"/>; null: its first address, or the host
    /// name.
    /// </summary>
    public Uri? Advertise { get; init; }

    /// <summary>Null: decided from the machine's cores and memory.</summary>
    public int? MaxRunning { get; init; }

    public int QueueLimit { get; init; }

    public int WaitingCallsLimit { get; init; }

    public SandboxLimits DefaultLimits { get; init; } = SandboxLimits.Default;

    public SandboxLimits MaxLimits { get; init; } = SandboxLimits.Default;

    public TimeSpan CallTimeout { get; init; }

    public TimeSpan TaskTimeout { get; init; }

    public TimeSpan MaxCallTimeout { get; init; }

    public TimeSpan MaxTaskTimeout { get; init; }

    public TimeSpan Grace { get; init; }

    /// <summary>Body of a synchronous call.</summary>
    public ByteSize BodyLimit { get; init; }

    /// <summary>Input of a task, which is kept on disk.</summary>
    public ByteSize InputLimit { get; init; }

    /// <summary>Standard output of a synchronous call.</summary>
    public ByteSize OutputLimit { get; init; }

    /// <summary>Disk space for output of synchronous calls whose callers still send.</summary>
    public ByteSize OverflowLimit { get; init; }

    /// <summary>Results that answer further calls, and inputs and results of such calls under way.</summary>
    public ByteSize ResultCacheLimit { get; init; }

    /// <summary>Standard output of a task, which is kept on disk.</summary>
    public ByteSize ResultLimit { get; init; }

    /// <summary>One event of a Lambda function and one answer that does not stream; both are held in memory.</summary>
    public ByteSize LambdaPayloadLimit { get; init; }

    /// <summary>One blob or manifest pushed to the registry.</summary>
    public ByteSize UploadLimit { get; init; }

    /// <summary>How long a body that is kept may bring nothing.</summary>
    public TimeSpan BodyIdleTimeout { get; init; }

    /// <summary>How long the head of a request may take to come.</summary>
    public TimeSpan HeadTimeout { get; init; }

    /// <summary>Networks of the proxies in front that are believed in what they say of a request's way.</summary>
    public IReadOnlyList<IPNetwork> TrustedProxies { get; init; } = [];

    /// <summary>Of this server itself, in small letters.</summary>
    public IReadOnlyList<string> HostNames { get; init; } = [];

    /// <summary>Below which functions have host names, in small letters; null for none.</summary>
    public string? FunctionDomain { get; init; }

    public bool AllowHostNetwork { get; init; }

    /// <summary>Programs of containers that may run at once.</summary>
    public int MaxContainers { get; init; }

    /// <summary>From the loss of its node until a container is started elsewhere.</summary>
    public TimeSpan ContainerMoveAfter { get; init; }

    /// <summary>OCI runtimes that runs may choose beside the node's own; names are unique.</summary>
    public IReadOnlyList<RegisteredRuntime> Runtimes { get; init; } = [];

    /// <summary>Folders of the machine that containers may have mounts from, with all below them.</summary>
    public IReadOnlyList<string> MountAllow { get; init; } = [];

    /// <summary>Addresses of the inside that networks may open by rules of their own.</summary>
    public IReadOnlyList<IPNetwork> NetworkAllow { get; init; } = [];

    /// <summary>
    /// Host names, addresses or networks in CIDR form that callbacks may reach although they are internal.
    /// </summary>
    public IReadOnlyList<string> CallbackAllow { get; init; } = [];

    /// <summary>The same for other registries that images are copied from and to.</summary>
    public IReadOnlyList<string> RegistryAllow { get; init; } = [];

    public TimeSpan ResultRetention { get; init; }

    public TimeSpan DeadLetterRetention { get; init; }

    public TimeSpan LogRetention { get; init; }

    public ByteSize LogLimit { get; init; }

    public TimeSpan RunRetention { get; init; }

    /// <summary>Of all instances of functions together; null: decided from the machine's memory.</summary>
    public ByteSize? InstanceMemory { get; init; }

    public ByteSize PoolMemory { get; init; }

    public TimeSpan CollectInterval { get; init; }

    public TimeSpan CollectGrace { get; init; }

    public TimeSpan ShutdownGrace { get; init; }

    public int MaxConnections { get; init; }

    public bool MetricsOpen { get; init; }

    /// <summary>Where traces and metrics are sent; null for nowhere.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>Sent along, for instance a key of the collector's.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> OtlpHeaders { get; init; } = [];

    public TimeSpan OtlpInterval { get; init; }

    public LogLevelName LogLevel { get; init; }

    public LogFormat LogFormat { get; init; }

    /// <summary>PEM file with the certificate and its chain; null for plain HTTP.</summary>
    public string? TlsCertificate { get; init; }

    public string? TlsKey { get; init; }
}

public enum LogLevelName
{
    Debug,
    Info,
    Warning,
    Error,
}

public enum LogFormat
{
    Text,
    Json,
}
