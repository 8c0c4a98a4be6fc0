using Berth.Core.Runs;

namespace Berth.Core.Containers;

/// <summary>
/// The state we own of one container. Immutable: <see cref="ContainerSteps"/> makes the next, and only the store makes
/// it true.
/// </summary>
/// <param name="Caller">Name of the token that asked.</param>
/// <param name="Run">The run of its newest start; null when it was never started.</param>
/// <param name="Restarts">Starts by its policy, in all.</param>
/// <param name="RestartsInRow">Starts by its policy since it last ran steadily or was started by somebody.</param>
/// <param name="Stopped">Somebody asked for its end after its newest start.</param>
/// <param name="Exit">How its program ended last; null while it runs the first time.</param>
/// <param name="Node">Name of the node that has it, with its files; null for the server's own.</param>
/// <param name="HasFiles">Something was put into its files before its first start.</param>
public sealed record Container(
    ContainerId Id,
    string Name,
    ContainerSpec Spec,
    string Caller,
    ContainerState State,
    DateTimeOffset CreatedAt,
    DateTimeOffset? StartedAt,
    DateTimeOffset? FinishedAt,
    RunId? Run,
    int Restarts,
    int RestartsInRow,
    bool Stopped,
    ContainerExit? Exit,
    string? Node = null,
    bool HasFiles = false)
{
    public static Container New(
        ContainerId id, string name, ContainerSpec spec, string caller, DateTimeOffset now) => new(
        id, name, spec, caller, ContainerState.Created, now, StartedAt: null, FinishedAt: null, Run: null,
        Restarts: 0, RestartsInRow: 0, Stopped: false, Exit: null);
}

/// <param name="Detail">A sentence for people, or null.</param>
public sealed record ContainerExit(EndReason Reason, int? ExitCode, int? Signal, string? Detail)
{
    /// <summary>Added to a signal's number, as shells do.</summary>
    private const int SignalBase = 128;

    private const int SigKill = 9;

    public bool Failed => Reason != EndReason.Completed;

    /// <summary>As docker tells it: 128 and the signal's number where a signal ended it, 127 where there was nothing to
    /// run.</summary>
    public int Code => ExitCode ?? (Signal is { } signal ? SignalBase + signal
        : Reason == EndReason.Completed ? 0
        : Reason == EndReason.EntryPointMissing ? 127
        : SignalBase + SigKill);
}
