using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Containers;

/// <summary>What a container's record means for the run of a start, and for the node.</summary>
internal static class ContainerOrders
{
    /// <summary>Whose run it is, as a label of the run.</summary>
    public const string Label = "container";

    /// <summary>From the end of the pause before a start that its policy asks for until that is ordered.</summary>
    private static readonly TimeSpan RoomSlack = TimeSpan.FromSeconds(30);

    public static RunSpec SpecOf(Container container)
    {
        ContainerSpec spec = container.Spec;
        Dictionary<string, string> labels = new(spec.Labels) { [Label] = container.Name };
        return new RunSpec(
            spec.Image, spec.Digest, spec.Limits, spec.Network, spec.Command, spec.Arguments, spec.Environment,
            spec.User, spec.WorkingDirectory, RunSpec.Unlimited, spec.Grace,
            new RetryPolicy(MaxAttempts: 1, OnProgramFailure: false), MaxAge: null,
            ByteSize.FromBytes(long.MaxValue), "application/octet-stream", Callback: null, labels,
            spec.Runtime, Placement: spec.Placement, Bridge: spec.Bridge?.Use, Mounts: MountsOf(spec));
    }

    /// <summary>Those that decide where it can be; null where there are none.</summary>
    private static RunMount[]? MountsOf(ContainerSpec spec)
    {
        RunMount[] mounts =
        [
            .. spec.Mounts.Where(m => m is { Kind: MountKind.Volume, Anonymous: false } or { Kind: MountKind.Host })
                .Select(m => new RunMount(m.Kind, m.Source, m.Target, m.ReadOnly)),
        ];
        return mounts.Length == 0 ? null : mounts;
    }

    /// <summary>A path of its mounts that no order to another machine can say; null where all can be said.</summary>
    public static string? FirstUnsaid(Container container) => container.Spec.Mounts
        .Select(m => new RunMount(m.Kind, m.Source, m.Target, m.ReadOnly, m.Size))
        .Where(m => !m.CanBeText).Select(m => m.Source.Contains(':', StringComparison.Ordinal) ? m.Source : m.Target)
        .FirstOrDefault();

    /// <param name="network">That it is in; null for none.</param>
    public static AttemptSpec OrderOf(Container container, Run run, NetworkDefinition? network) => new(
        $"{run.Id}-{run.Generation}", run.Id, run.Generation,
        new SandboxSpec(
            container.Spec.Digest, container.Spec.Limits, container.Spec.Network, container.Spec.Runtime,
            Bridge: network),
        container.Spec.Command, container.Spec.Arguments,
        new Dictionary<string, string>(container.Spec.Environment) { ["BERTH_RUN_ID"] = run.Id.Text },
        container.Spec.User, container.Spec.WorkingDirectory, Timeout: null, container.Spec.Grace,
        container.Spec.Terminal ? TerminalSize.Usual : null, ExtrasOf(container), Found: FoundOf(container),
        IsContainer: true, KeepRoom: PauseOf(container) + RoomSlack ?? TimeSpan.Zero);

    /// <summary>For looking into a container that does not run: another program in its files.</summary>
    public static AttemptSpec OrderOfTool(Container container, IReadOnlyList<string> command, RunId id) => new(
        $"{id}-1", id, 1,
        new SandboxSpec(container.Spec.Digest, container.Spec.Limits, NetworkMode.None), command, null,
        new Dictionary<string, string>(), SandboxTool.User, "/", Timeout: null, container.Spec.Grace, null,
        ExtrasOf(container));

    /// <summary>The longest before its policy starts it again; null where that does not.</summary>
    private static TimeSpan? PauseOf(Container container) =>
        container.Spec.Restart.DelayAfter(failed: true, container.RestartsInRow)
        // After a while of running it counts anew.
        ?? container.Spec.Restart.DelayAfter(failed: true, inRow: 0);

    private static SandboxExtras ExtrasOf(Container container) => new(
        container.Id.Text, container.Spec.ReadOnlyRoot, [.. container.Spec.Mounts.Select(MountOf)],
        container.Spec.HostName ?? container.Id.Text[..12], container.Spec.Bridge?.Address);

    private static AttemptNetwork? FoundOf(Container container) => container.Spec.Bridge is { } network
        ? new AttemptNetwork([container.Name, container.Id.Text[..12], .. network.Aliases], network.Ports)
        : null;

    private static SandboxMount MountOf(ContainerMount mount) => mount.Kind switch
    {
        MountKind.Volume => new SandboxMount.Volume(mount.Source, mount.Target, mount.ReadOnly),
        MountKind.Host => new SandboxMount.Host(mount.Source, mount.Target, mount.ReadOnly),
        _ => new SandboxMount.Temporary(mount.Target, mount.Size, mount.ReadOnly),
    };
}
