using System.Net;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Placement;
using Berth.Core.Resources;

namespace Berth.Core.Containers;

/// <summary>What a container is to run and how. Never changes once it is created.</summary>
/// <param name="Image">The reference as asked for.</param>
/// <param name="Digest">The manifest that it meant at that moment.</param>
/// <param name="Command">Replaces the image's ENTRYPOINT and CMD; null keeps them.</param>
/// <param name="Arguments">Replaces the image's CMD; null keeps it.</param>
/// <param name="Terminal">Whether the program runs at a terminal.</param>
/// <param name="OpenInput">Whether standard input stays open for who attaches; else it is empty.</param>
/// <param name="HostName">Null for one made of the id.</param>
/// <param name="Restart">What follows the program's end.</param>
/// <param name="AutoRemove">Whether it is removed once it has ended.</param>
/// <param name="StopSignal">Number of the signal that asks the program to end; null for the image's, or
/// SIGTERM.</param>
/// <param name="Grace">Between that signal and SIGKILL.</param>
/// <param name="Health">Null for the image's own check, if it has one.</param>
/// <param name="Runtime">Name of a further OCI runtime to run it with; null for the node's own.</param>
/// <param name="Bridge">Its place in a network; null unless <paramref name="Network"/> says it is in one.</param>
/// <param name="Placement">Where it may run; null where nothing is asked.</param>
public sealed record ContainerSpec(
    string Image,
    Digest Digest,
    SandboxLimits Limits,
    NetworkMode Network,
    IReadOnlyList<string>? Command,
    IReadOnlyList<string>? Arguments,
    IReadOnlyDictionary<string, string> Environment,
    string? User,
    string? WorkingDirectory,
    bool Terminal,
    bool OpenInput,
    bool ReadOnlyRoot,
    IReadOnlyList<ContainerMount> Mounts,
    string? HostName,
    RestartPolicy Restart,
    bool AutoRemove,
    int? StopSignal,
    TimeSpan Grace,
    HealthCheck? Health,
    IReadOnlyDictionary<string, string> Labels,
    string? Runtime = null,
    ContainerNetwork? Bridge = null,
    PlacementRules? Placement = null)
{
    private static readonly IReadOnlyDictionary<string, string> Empty = new Dictionary<string, string>();

    /// <summary>Whether it can be started on another machine with nothing but its image: what it wrote to its own files
    /// is lost then, and its policy wants it started all the same.</summary>
    public bool CanMove => Restart.Mode != RestartMode.No && HasNoVolumes;

    /// <summary>Nothing that lasts is mounted.</summary>
    public bool HasNoVolumes => Mounts.All(m => m.Kind == MountKind.Temporary);

    /// <summary>With every default.</summary>
    public static ContainerSpec For(string image, Digest digest) => new(
        image, digest, SandboxLimits.Default, NetworkMode.None, null, null, Empty, null, null, Terminal: false,
        OpenInput: false, ReadOnlyRoot: false, [], null, RestartPolicy.No, AutoRemove: false, null,
        Runs.RunSpec.DefaultGrace, null, Empty);
}

/// <summary>A container's place in a network.</summary>
/// <param name="Address">Null for any of the network's.</param>
/// <param name="Aliases">Names in the network, besides the container's own.</param>
/// <param name="Ports">Of the machine, that lead to the container's.</param>
public sealed record ContainerNetwork(
    NetworkUse Use, IPAddress? Address, IReadOnlyList<string> Aliases, IReadOnlyList<PublishedPort> Ports);

public enum MountKind
{
    /// <summary>A named volume.</summary>
    Volume,

    /// <summary>A folder or file of the machine's.</summary>
    Host,

    /// <summary>A folder in memory.</summary>
    Temporary,
}

/// <summary>Something put into a container's file tree.</summary>
/// <param name="Source">Name of the volume or absolute path on the machine; empty for one in memory.</param>
/// <param name="Target">Absolute path in the container.</param>
/// <param name="Anonymous">A volume made for this container alone, which goes with it where that is asked.</param>
/// <param name="Size">Of one in memory.</param>
public sealed record ContainerMount(
    MountKind Kind, string Source, string Target, bool ReadOnly, bool Anonymous, ByteSize Size);

/// <summary>A program run in the container from time to time; exit code 0 means that all is well.</summary>
/// <param name="Command">Empty: no check, whatever the image says.</param>
/// <param name="Interval">From the end of one check to the start of the next.</param>
/// <param name="Timeout">After which a check has failed.</param>
/// <param name="StartPeriod">After the container's start; failures in it don't count until one check succeeded.</param>
/// <param name="Retries">Failures in a row that make a container unhealthy.</param>
public sealed record HealthCheck(
    IReadOnlyList<string> Command, TimeSpan Interval, TimeSpan Timeout, TimeSpan StartPeriod, int Retries)
{
    public static TimeSpan DefaultTime { get; } = TimeSpan.FromSeconds(30);

    public const int DefaultRetries = 3;

    public static HealthCheck None { get; } = new([], DefaultTime, DefaultTime, TimeSpan.Zero, DefaultRetries);
}
