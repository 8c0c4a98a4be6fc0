using Berth.Core.Containers;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Secrets;

namespace Berth.Core.Runs;

/// <summary>Whether somebody waits on the line for the answer.</summary>
public enum RunKind
{
    /// <summary>Synchronous: the caller holds the connection; recorded after the answer.</summary>
    Call,

    /// <summary>Asynchronous: durable before it is accepted, tried again after faults of the platform.</summary>
    Task,

    /// <summary>One start of a container: durable before its program runs, tried again by the container's own policy,
    /// never by this run's.</summary>
    Container,

    /// <summary>A program that serves many calls of a function; recorded after its end, as calls are.</summary>
    Instance,
}

/// <summary>What was asked for. Never changes once a run is accepted.</summary>
/// <param name="Image">The reference as asked for.</param>
/// <param name="Digest">The manifest that it meant at that moment: what is run, on every attempt.</param>
/// <param name="Command">Replaces the image's ENTRYPOINT and CMD; null keeps them.</param>
/// <param name="Arguments">Replaces the image's CMD; null keeps it.</param>
/// <param name="Environment">Added to the image's environment.</param>
/// <param name="Timeout">Of one attempt of a task; of a whole call, waiting included; <see cref="Unlimited"/> for a
/// container.</param>
/// <param name="Grace">Between SIGTERM and SIGKILL.</param>
/// <param name="MaxAge">How long after acceptance an attempt may still begin; null for ever.</param>
/// <param name="OutputLimit">Bytes of standard output after which the program is ended.</param>
/// <param name="ResultContentType">Media type told to who fetches the result.</param>
/// <param name="Callback">Told by POST when the run has ended; null for nobody.</param>
/// <param name="Runtime">Name of a further OCI runtime to run it with; null for the node's own.</param>
/// <param name="Family">Runs of one family may have their sandboxes within one container; null for a container each.
/// </param>
/// <param name="Reuse">How many runs of its family a sandbox may have at once, one after the other in each place; null
/// for a sandbox of each run's own.</param>
/// <param name="Service">The request to send to an instance of a function, in place of a program of the run's own; null
/// for everything else.</param>
/// <param name="OnSuccess">What a task is handed on to when it has succeeded; null for nothing.</param>
/// <param name="OnFailure">And when it has failed.</param>
/// <param name="Hops">Destinations that led to it.</param>
/// <param name="CacheControl">What a task's caller said of kept results, in the words of RFC 9111, section 5.2.1; null
/// for nothing.</param>
/// <param name="Placement">Where it may run; null for any node.</param>
/// <param name="Priority">Of a task among those that wait: the higher is served first, see <see cref="RunPriority"/>.
/// </param>
/// <param name="Bridge">The network it runs in; null unless <paramref name="Network"/> says it is in one.</param>
/// <param name="Mounts">What else is in its files, in the order in which it is mounted; null for nothing. It runs where
/// its volumes are.</param>
/// <param name="Secrets">What its program gets of the server's secrets; null for none. Their values are never
/// here.</param>
public sealed record RunSpec(
    string Image,
    Digest Digest,
    SandboxLimits Limits,
    NetworkMode Network,
    IReadOnlyList<string>? Command,
    IReadOnlyList<string>? Arguments,
    IReadOnlyDictionary<string, string> Environment,
    string? User,
    string? WorkingDirectory,
    TimeSpan Timeout,
    TimeSpan Grace,
    RetryPolicy Retry,
    TimeSpan? MaxAge,
    ByteSize OutputLimit,
    string ResultContentType,
    Uri? Callback,
    IReadOnlyDictionary<string, string> Labels,
    string? Runtime = null,
    string? Family = null,
    ServiceCall? Service = null,
    Destination? OnSuccess = null,
    Destination? OnFailure = null,
    int Hops = 0,
    IReadOnlyList<SecretUse>? Secrets = null,
    int? Reuse = null,
    string? CacheControl = null,
    PlacementRules? Placement = null,
    int Priority = RunPriority.Usual,
    NetworkUse? Bridge = null,
    IReadOnlyList<RunMount>? Mounts = null)
{
    public bool HasSecretFiles => Secrets?.Any(s => s.File is not null) == true;

    /// <summary>Such files are put into a container as it is made: none stands ready, and none is shared.</summary>
    public bool HasOwnFiles => Mounts is not null || HasSecretFiles;

    /// <summary>Names of its volumes.</summary>
    public IEnumerable<string> Volumes => OfKind(MountKind.Volume);

    /// <summary>Folders of the machine that are in its files.</summary>
    public IEnumerable<string> HostFolders => OfKind(MountKind.Host);

    /// <summary>Of a program that may run for ever.</summary>
    public static TimeSpan Unlimited => System.Threading.Timeout.InfiniteTimeSpan;

    public static TimeSpan DefaultCallTimeout { get; } = TimeSpan.FromSeconds(60);

    public static TimeSpan DefaultTaskTimeout { get; } = TimeSpan.FromMinutes(15);

    public static TimeSpan DefaultGrace { get; } = TimeSpan.FromSeconds(10);

    public static ByteSize DefaultOutputLimit { get; } = ByteSize.GiB(1);

    /// <summary>A spec with every default, for <see cref="Image"/> alone.</summary>
    public static RunSpec For(string image, Digest digest, RunKind kind) => new(
        image, digest, SandboxLimits.Default, NetworkMode.None, null, null, Empty, null, null,
        kind == RunKind.Call ? DefaultCallTimeout : DefaultTaskTimeout, DefaultGrace, RetryPolicy.Default, null,
        DefaultOutputLimit, "application/octet-stream", null, Empty);

    private static readonly IReadOnlyDictionary<string, string> Empty = new Dictionary<string, string>();

    private IEnumerable<string> OfKind(MountKind kind) =>
        Mounts?.Where(m => m.Kind == kind).Select(m => m.Source).Distinct(StringComparer.Ordinal) ?? [];
}
