namespace Berth.Node.Init;

/// <summary>A program beside a sandbox's main one. It ends with that one at the latest.</summary>
public sealed class FurtherProgram
{
    private readonly TaskCompletionSource<StartOutcome> started =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly TaskCompletionSource<FurtherExit?> exited =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Action<int, int> signal;

    internal FurtherProgram(int id, Action<int, int> signal)
    {
        Id = id;
        this.signal = signal;
    }

    /// <summary>How its main process ended; null when the whole sandbox went first. Never faults.</summary>
    public Task<FurtherExit?> Exited => exited.Task;

    internal int Id { get; }

    internal Task<StartOutcome> Started => started.Task;

    /// <summary>To its main process. Nothing happens when that has ended.</summary>
    public void Signal(int number) => signal(Id, number);

    internal void BeStarted(StartOutcome outcome) => started.TrySetResult(outcome);

    internal void Fail(Exception error)
    {
        started.TrySetException(error);
        // Nobody may have asked; the answer is then in Exited.
        _ = started.Task.Exception;
        exited.TrySetResult(null);
    }

    internal void End(FurtherExit exit) => exited.TrySetResult(exit);
}

/// <param name="ExitCode">0 when a signal ended it.</param>
/// <param name="Signal">0 when it exited by itself.</param>
public sealed record FurtherExit(int ExitCode, int Signal);
