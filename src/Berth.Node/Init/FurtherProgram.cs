namespace Berth.Node.Init;

/// <summary>A program beside a sandbox's main one. It ends with that one at the latest.</summary>
public interface IFurtherProgram
{
    /// <summary>How its main process ended; null when the whole sandbox went first. Never faults.</summary>
    Task<FurtherExit?> Exited { get; }

    /// <summary>To its main process. Nothing happens when that has ended.</summary>
    void Signal(int number);
}

/// <summary>One that an init runs.</summary>
internal sealed class FurtherProgram : IFurtherProgram
{
    private readonly TaskCompletionSource<StartOutcome> started =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly TaskCompletionSource<FurtherExit?> exited =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Action<int, int> signal;

    public FurtherProgram(int id, Action<int, int> signal)
    {
        Id = id;
        this.signal = signal;
    }

    public Task<FurtherExit?> Exited => exited.Task;

    public int Id { get; }

    public Task<StartOutcome> Started => started.Task;

    public void Signal(int number) => signal(Id, number);

    public void BeStarted(StartOutcome outcome) => started.TrySetResult(outcome);

    public void Fail(Exception error)
    {
        started.TrySetException(error);
        // Nobody may have asked; the answer is then in Exited.
        _ = started.Task.Exception;
        exited.TrySetResult(null);
    }

    public void End(FurtherExit exit) => exited.TrySetResult(exit);
}

/// <param name="ExitCode">0 when a signal ended it.</param>
/// <param name="Signal">0 when it exited by itself.</param>
public sealed record FurtherExit(int ExitCode, int Signal);
