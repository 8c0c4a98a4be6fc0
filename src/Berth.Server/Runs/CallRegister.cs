using System.Collections.Concurrent;
using System.Threading.Channels;
using Berth.Core.Faults;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>
/// Calls under way, and those that ended but are not in the store yet. A call does not wait for the store: its record
/// is written afterwards, many at once.
/// </summary>
internal sealed class CallRegister(RunRooms rooms)
{
    // About a minute of calls at the highest rates measured; when it is full the store stands still
    // and records are lost.
    private const int Backlog = 64 * 1024;
    private const int BatchLimit = 256;

    /// <summary>Records that come within this time of the last ones share a sync, for which nobody waits.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentDictionary<RunId, CallEntry> calls = new();
    private readonly Channel<CallEntry> ended = Channel.CreateBounded<CallEntry>(
        new BoundedChannelOptions(Backlog) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    /// <summary>Calls under way.</summary>
    public IEnumerable<CallEntry> Live => calls.Values.Where(entry => !entry.Run.State.IsTerminal());

    /// <summary>Every call the store does not have yet.</summary>
    public IEnumerable<Run> Unrecorded => calls.Values.Select(entry => entry.Run);

    public CallEntry Add(Run run)
    {
        CallEntry entry = new(run);
        calls[run.Id] = entry;
        return entry;
    }

    public CallEntry? Find(RunId id) => calls.GetValueOrDefault(id);

    /// <summary>Completes when every call under way now has ended, whatever becomes of its record.</summary>
    public Task DrainAsync() => Task.WhenAll(calls.Values.Select(entry => entry.Ended));

    public void Forget(CallEntry entry)
    {
        calls.TryRemove(entry.Run.Id, out _);
        entry.End();
    }

    /// <summary>Takes an ended call for recording. Never waits.</summary>
    public void Close(CallEntry entry)
    {
        rooms.Ledger.Count(entry.Run);
        rooms.Logs.Complete(entry.Run.Id);
        if (RunPresentation.CallEvents(entry.Run) is [.., var last])
        {
            rooms.Events.Publish(entry.Run.Id, last.Sequence, last.Event);
        }

        if (!ended.Writer.TryWrite(entry))
        {
            Lose([entry], null);
        }

        entry.End();
    }

    /// <summary>No more calls will come: <see cref="RecordAsync"/> ends when it has written the rest.</summary>
    public void Complete() => ended.Writer.TryComplete();

    /// <summary>Writes ended calls until <see cref="Complete"/>.</summary>
    public async Task RecordAsync()
    {
        List<CallEntry> batch = new(BatchLimit);
        while (await ended.Reader.WaitToReadAsync(CancellationToken.None))
        {
            while (batch.Count < BatchLimit && ended.Reader.TryRead(out CallEntry? entry))
            {
                batch.Add(entry);
            }

            await RecordAsync(batch);
            batch.Clear();
            // The machine's own time, as it is the disk that rests.
            await Task.Delay(Pause, TimeProvider.System);
        }
    }

    private async Task RecordAsync(List<CallEntry> batch)
    {
        Exception?[] faults = await Task.WhenAll(batch.Select(TryRecordAsync));
        List<CallEntry> lost = [.. batch.Where((_, index) => faults[index] is not null)];
        if (lost.Count > 0)
        {
            Lose(lost, faults.First(fault => fault is not null));
        }
    }

    /// <summary>What kept the record from being written; null when it was. Whatever it is, it is one record's fault:
    /// the others are written all the same.</summary>
    private async Task<Exception?> TryRecordAsync(CallEntry entry)
    {
        try
        {
            await rooms.Store.RecordAsync(entry.Run, CancellationToken.None);
            CrashPoints.Reach(CrashPoint.CallRecorded);
            calls.TryRemove(entry.Run.Id, out _);
            return null;
        }
        catch (Exception error)
        {
            return error;
        }
    }

    private void Lose(List<CallEntry> entries, Exception? error)
    {
        foreach (CallEntry entry in entries)
        {
            calls.TryRemove(entry.Run.Id, out _);
            rooms.Ledger.LostRecord();
        }

        Log.RecordsLost(rooms.Logger, entries.Count, error);
    }
}

/// <summary>A call as this server knows it before the store does.</summary>
internal sealed class CallEntry(Run run)
{
    private readonly Lock gate = new();
    private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Action<EndReason>? end;
    private EndReason? stop;

    public Run Run { get; set; } = run;

    /// <summary>Newest progress. Beside the run, because it is set by another thread than the run's steps.</summary>
    public RunProgress? Progress { get; set; }

    /// <summary>Cancelled while it waits for a place or its sandbox.</summary>
    public CancellationTokenSource Waiting { get; } = new();

    /// <summary>Why it was stopped before its program ran.</summary>
    public EndReason? Stopped => stop;

    /// <summary>Completes when nothing more happens to the call but its recording.</summary>
    public Task Ended => ended.Task;

    public void End() => ended.TrySetResult();

    /// <summary>The program runs. Stops it at once where that was asked for before.</summary>
    /// <param name="end">Ends it.</param>
    public void Begin(Action<EndReason> end)
    {
        EndReason? reason;
        lock (gate)
        {
            this.end = end;
            reason = stop;
        }

        if (reason is { } early)
        {
            end(early);
        }
    }

    public void Stop(EndReason reason)
    {
        Action<EndReason>? running;
        lock (gate)
        {
            stop ??= reason;
            running = end;
        }

        if (running is null)
        {
            Waiting.Cancel();
        }
        else
        {
            running(reason);
        }
    }
}
