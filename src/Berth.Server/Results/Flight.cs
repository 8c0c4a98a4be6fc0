namespace Berth.Server.Results;

/// <summary>
/// One execution and all the callers who wait for its end. It belongs to none of them: it goes on as long as one is
/// there, and is abandoned when the last has left. Guarded by the lock of <see cref="Flights"/>.
/// </summary>
/// <param name="key">Null where no other call is to find it.</param>
/// <param name="caller">Who it is accounted to.</param>
internal sealed class Flight(Flights all, ResultKey? key, string caller) : IDisposable
{
    private readonly TaskCompletionSource<FlightEnd> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource abandoned = new();

    public ResultKey? Key => key;

    public string Caller => caller;

    /// <summary>The first one included.</summary>
    public int Callers { get; set; } = 1;

    public bool HasEnded => ended.Task.IsCompleted;

    /// <summary>Cancelled when nobody waits any more.</summary>
    public CancellationToken Abandoned => abandoned.Token;

    /// <summary>Completes when the first caller has been answered, or has left.</summary>
    public TaskCompletionSource FirstAnswered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Waits for the end; to be called once for each caller. A result's hold is then that caller's to give up.
    /// </summary>
    /// <exception cref="TimeoutException">It took longer than <paramref name="limit"/>.</exception>
    public async Task<FlightEnd> WaitAsync(TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        try
        {
            return await ended.Task.WaitAsync(
                limit > TimeSpan.Zero || limit == Timeout.InfiniteTimeSpan ? limit : TimeSpan.Zero, time,
                cancellationToken);
        }
        catch (Exception error) when (error is OperationCanceledException or TimeoutException)
        {
            await LeaveAsync();
            throw;
        }
    }

    public void Set(FlightEnd end) => ended.SetResult(end);

    public void Dispose() => abandoned.Dispose();

    private async Task LeaveAsync()
    {
        if (!all.Leave(this))
        {
            if (ended.Task.IsCompleted && await ended.Task is FlightEnd.Result { Kept.Output: var held })
            {
                held.Dispose();
            }

            return;
        }

        try
        {
            await abandoned.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // It has ended meanwhile.
        }
    }
}
