using System.Collections.Frozen;

namespace Berth.Core.Runs;

/// <summary>Where a run is. The legal steps between states stand in <see cref="RunTransitions"/>.</summary>
public enum RunState
{
    /// <summary>Accepted and durable, waiting for a place or for its next attempt.</summary>
    Queued,

    /// <summary>An attempt has claimed it and its sandbox is being readied.</summary>
    Starting,

    /// <summary>The program is running.</summary>
    Running,

    /// <summary>The program ended with exit code 0.</summary>
    Succeeded,

    /// <summary>It ended otherwise; <see cref="EndReason"/> says how.</summary>
    Failed,

    /// <summary>Somebody asked for its end before it came.</summary>
    Canceled,
}

/// <summary>What ended an attempt. Told apart so that a caller knows whose move it is.</summary>
public enum EndReason
{
    /// <summary>Exit code 0.</summary>
    Completed,

    /// <summary>The program's own exit code, not 0.</summary>
    ExitCode,

    /// <summary>The program was ended by a signal that Berth did not send.</summary>
    Signal,

    /// <summary>The kernel ended it at its memory limit.</summary>
    OutOfMemory,

    /// <summary>The deadline passed.</summary>
    TimedOut,

    /// <summary>It wrote more output than allowed.</summary>
    OutputLimit,

    /// <summary>The command does not exist in the image, or can't be executed.</summary>
    EntryPointMissing,

    /// <summary>A person or program cancelled it.</summary>
    Canceled,

    /// <summary>The caller of a synchronous call went away.</summary>
    ClientGone,

    /// <summary>It waited longer than its maximum age allows.</summary>
    Expired,

    /// <summary>
    /// Berth or its machine failed; the attempt says nothing about the program. Such attempts are retried.
    /// </summary>
    PlatformFault,

    /// <summary>
    /// The image is missing, malformed or refused, or can't be run as asked. Trying again would not help.
    /// </summary>
    NotRunnable,

    /// <summary>A program that serves many calls ended, or broke the connection, before it had answered this one whole.
    /// </summary>
    NoAnswer,

    /// <summary>Such a program answered with a status that says no: 400 to 599.</summary>
    BadStatus,
}

/// <summary>The one table of legal steps. Tests draw the diagram in docs/internals from it.</summary>
public static class RunTransitions
{
    private static readonly FrozenDictionary<RunState, RunState[]> Table = new Dictionary<RunState, RunState[]>
    {
        [RunState.Queued] = [RunState.Starting, RunState.Failed, RunState.Canceled],
        // Back to Queued: a platform fault, a graceful stop that hands runs back, or a server that was killed.
        // To Succeeded: a program that was over in a moment, whose start is written with its end.
        [RunState.Starting] =
            [RunState.Running, RunState.Queued, RunState.Succeeded, RunState.Failed, RunState.Canceled],
        [RunState.Running] = [RunState.Succeeded, RunState.Failed, RunState.Canceled, RunState.Queued],
        [RunState.Succeeded] = [],
        [RunState.Failed] = [],
        [RunState.Canceled] = [],
    }.ToFrozenDictionary();

    public static IReadOnlyList<RunState> From(RunState state) => Table[state];

    public static bool IsLegal(RunState from, RunState to) => Array.IndexOf(Table[from], to) >= 0;

    public static bool IsTerminal(this RunState state) => Table[state].Length == 0;

    /// <summary>The terminal state that an attempt's end leads to when it is not tried again.</summary>
    public static RunState TerminalStateOf(EndReason reason) => reason switch
    {
        EndReason.Completed => RunState.Succeeded,
        EndReason.Canceled or EndReason.ClientGone => RunState.Canceled,
        _ => RunState.Failed,
    };
}
