using System.Globalization;
using Berth.Api.Containers;
using Berth.Api.Networks;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Containers;
using Berth.Server.Networks;
using Berth.Server.Nodes;

namespace Berth.Server.ContainerEndpoints;

/// <summary>How containers are told to the outside.</summary>
internal static class ContainerPresentation
{
    public const string Unknown = "unknown";

    public static ContainerView View(ContainerEntry entry)
    {
        Container record = entry.Record;
        ContainerExit? exit = record.State.IsLive() ? null : record.Exit;
        return new ContainerView(
            record.Id.Text, record.Name, StateOf(entry), record.Spec.Image,
            record.Spec.Digest.Text, record.CreatedAt, record.StartedAt,
            record.State.IsLive() ? null : record.FinishedAt,
            record.Run?.Text, exit?.Code, exit is null ? null : RunSentences.Word(exit.Reason),
            LostOf(entry) is { LostAt: { } at } lost
                ? $"Nothing is known of it since {at:u}, when its node '{lost.Node}' was lost."
                : exit?.Detail,
            record.Restarts, entry.Health is { } health ? View(health) : null, RequestOf(record), record.Node);
    }

    /// <summary>As people are told it: of what is on a node that can't be reached nothing is known.</summary>
    public static string StateOf(ContainerEntry entry) =>
        LostOf(entry) is null ? ContainerSteps.Word(entry.Record.State) : Unknown;

    private static RemoteContainer? LostOf(ContainerEntry entry) =>
        entry.Live?.Attempt is RemoteContainer { LostAt: not null } lost ? lost : null;

    /// <summary>Null where no program runs.</summary>
    public static ContainerStats? Stats(ContainerEntry entry, DateTimeOffset now)
    {
        SandboxLimits limits = entry.Record.Spec.Limits;
        return entry.Live?.Attempt.Measure() is not { } figures
            ? null
            : new ContainerStats(
                entry.Record.Id.Text, entry.Record.Name, now, figures.Processor.TotalMilliseconds,
                limits.Cpu.Millicores / 1000.0, figures.Memory.Bytes, figures.PeakMemory.Bytes, limits.Memory.Bytes,
                figures.Processes, limits.Pids);
    }

    private static ContainerHealth View(HealthReport report) => new(
        report.Status.ToString().ToLowerInvariant(), report.Failures,
        [.. report.Checks.Select(c => new HealthCheckResult(c.At, c.Took.TotalMilliseconds, c.ExitCode, c.Output))]);

    /// <summary>The request that would make the same container again.</summary>
    private static ContainerRequest RequestOf(Container record)
    {
        ContainerSpec spec = record.Spec;
        return new ContainerRequest(
            spec.Image, record.Name, spec.Command, spec.Arguments, spec.Environment, spec.User, spec.WorkingDirectory,
            spec.Limits.Memory.ToString(), spec.Limits.Cpu.ToString(), spec.Limits.Pids,
            spec.Limits.WritableLayer.ToString(), NetworkWord.Of(spec.Network, spec.Bridge?.Use), spec.Terminal,
            spec.OpenInput, spec.ReadOnlyRoot,
            spec.Mounts.Count == 0 ? null : [.. spec.Mounts.Select(View)], spec.HostName, spec.Restart.ToString(),
            spec.AutoRemove, spec.StopSignal is { } signal ? SignalName.Of(signal) : null,
            Duration.Format(spec.Grace), spec.Health is { } health ? View(health) : null, spec.Labels, spec.Runtime,
            spec.Bridge is { Ports.Count: > 0 } published ? [.. published.Ports.Select(View)] : null,
            spec.Bridge is { Aliases.Count: > 0 } named ? named.Aliases : null, spec.Bridge?.Address?.ToString(),
            spec.Placement is { Constraints.Count: > 0 } ? [.. spec.Placement.Constraints.Select(c => c.Text)] : null,
            spec.Placement is { Tolerations.Count: > 0 } ? [.. spec.Placement.Tolerations.Select(t => t.Text)] : null,
            spec.Placement?.Spread);
    }

    private static PortView View(PublishedPort port) => new(
        port.Host, port.Container, port.IsUdp ? "udp" : null, port.Address?.ToString());

    private static MountView View(ContainerMount mount) => mount.Kind switch
    {
        MountKind.Volume => new MountView("volume", mount.Source, mount.Target, mount.ReadOnly),
        MountKind.Host => new MountView("host", mount.Source, mount.Target, mount.ReadOnly),
        _ => new MountView(
            "memory", null, mount.Target, mount.ReadOnly,
            mount.Size.Bytes.ToString(CultureInfo.InvariantCulture)),
    };

    private static HealthCheckRequest View(HealthCheck check) => new(
        check.Command, Duration.Format(check.Interval), Duration.Format(check.Timeout),
        Duration.Format(check.StartPeriod), check.Retries);
}
