using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>
/// The passes that keep house: runs too old to be begun are closed, bodies, logs and records are deleted when their
/// time has come. Each is bounded and recomputed from the store, so that the next one is the retry.
/// </summary>
internal sealed class RunUpkeep(RunRooms rooms, CallRegister calls)
{
    private const int Batch = 256;

    /// <summary>Between looks for waiting runs that are over age.</summary>
    public static readonly TimeSpan AgeInterval = TimeSpan.FromSeconds(1);

    /// <summary>Between looks for what retention deletes.</summary>
    public static readonly TimeSpan RetentionInterval = TimeSpan.FromSeconds(60);

    /// <summary>After which a store that takes writes again knows which of those before are true.</summary>
    private static readonly TimeSpan DoubtAge = TimeSpan.FromMinutes(5);

    /// <summary>Of a run whose files may be rubbish: no submission takes that long.</summary>
    private static readonly TimeSpan SweepAge = TimeSpan.FromHours(24);

    /// <summary>Closes waiting runs that are over age; returns how many.</summary>
    public async Task<int> ExpireWaitingAsync(CancellationToken cancellationToken)
    {
        RunMoment now = rooms.Clock.Moment;
        IReadOnlyList<Run> old = await rooms.Store.OverAgeAsync(now.Steady, Batch, cancellationToken);
        int closed = 0;
        foreach (Run run in old)
        {
            if ((await rooms.SaveAsync(RunSteps.Expire(run, now.At, rooms.Options.ResultRetention),
                cancellationToken)).Applied)
            {
                CrashPoints.Reach(CrashPoint.OldTaskExpired);
                rooms.Ledger.Wait(-1);
                closed++;
            }
        }

        return closed;
    }

    /// <summary>Deletes bodies whose time has come; returns how many runs had some.</summary>
    public async Task<int> ExpireBodiesAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<Run> due = await rooms.Store.ExpiredBodiesAsync(rooms.Time.GetUtcNow(), Batch, cancellationToken);
        // Files first: cut off in between, the next pass finds the run again.
        foreach (Run run in due)
        {
            rooms.Spool.Delete(run.Id);
        }

        if (due.Count > 0)
        {
            CrashPoints.Reach(CrashPoint.BodiesDeleted);
            await rooms.Store.ForgetBodiesAsync([.. due.Select(run => run.Id)], cancellationToken);
            CrashPoints.Reach(CrashPoint.BodiesForgotten);
        }

        return due.Count;
    }

    /// <summary>Deletes inputs of submissions that failed and are not true; returns how many were in doubt.</summary>
    public async Task<int> SettleDoubtsAsync(CancellationToken cancellationToken)
    {
        long young = (rooms.Time.GetUtcNow() - DoubtAge).ToUnixTimeMilliseconds();
        RunId[] old = [.. rooms.Doubts.TakeWhile(id => id.UnixMilliseconds < young).Take(Batch)];
        if (old.Length == 0 || rooms.Store.Condition != StoreCondition.Accepting)
        {
            return 0;
        }

        await rooms.SweepSpoolAsync(old, rooms.Store.KnownAsync, cancellationToken);
        foreach (RunId _ in old)
        {
            rooms.Doubts.TryDequeue(out RunId _);
        }

        return old.Length;
    }

    /// <summary>Strikes dead letters off that are too old or too many; returns how many.</summary>
    public async Task<int> TrimDeadLettersAsync(CancellationToken cancellationToken)
    {
        int trimmed = await rooms.Store.TrimDeadLettersAsync(
            rooms.Time.GetUtcNow(), DeadLetters.Most, cancellationToken);
        if (trimmed > 0)
        {
            CrashPoints.Reach(CrashPoint.LettersTrimmed);
        }

        return trimmed;
    }

    /// <summary>Deletes records of runs that ended long ago, with all that is theirs; returns how many.</summary>
    public async Task<int> DeleteRecordsAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<RunId> deleted = await rooms.Store.DeleteEndedAsync(
            rooms.Time.GetUtcNow() - rooms.Options.RunRetention, Batch, cancellationToken);
        foreach (RunId id in deleted)
        {
            CrashPoints.Reach(CrashPoint.RecordsDeleted);
            rooms.Spool.Delete(id);
            rooms.Logs.Delete(id);
        }

        return deleted.Count;
    }

    /// <summary>Deletes logs that nothing was written to for long, of runs that have ended; returns how many.</summary>
    public async Task<int> DeleteLogsAsync(CancellationToken cancellationToken)
    {
        int deleted = 0;
        foreach (RunId id in rooms.Logs.UntouchedSince(rooms.Time.GetUtcNow() - rooms.Options.LogRetention))
        {
            cancellationToken.ThrowIfCancellationRequested();
            // A run may live for long and say little.
            if (!await IsLiveAsync(id, cancellationToken))
            {
                rooms.Logs.Delete(id);
                CrashPoints.Reach(CrashPoint.LogDeleted);
                deleted++;
            }

            if (deleted == Batch)
            {
                break;
            }
        }

        return deleted;
    }

    /// <summary>Deletes files of runs that another server struck off; returns how many runs had some.</summary>
    /// <param name="withFiles">Those that may have some.</param>
    public Task<int> SweepAsync(
        Func<IReadOnlyCollection<RunId>, CancellationToken, Task<IReadOnlySet<RunId>>> withFiles,
        CancellationToken cancellationToken)
    {
        // What is being accepted just now has its input before it has a record.
        long young = (rooms.Time.GetUtcNow() - SweepAge).ToUnixTimeMilliseconds();
        return rooms.SweepSpoolAsync(
            rooms.Spool.List().Where(id => id.UnixMilliseconds < young), withFiles, cancellationToken);
    }

    /// <summary>
    /// Deletes logs of calls that a killed server took with it: no record leads to them. Returns how many.
    /// </summary>
    public async Task<int> DeleteUnknownLogsAsync(IReadOnlyList<RunId> found, CancellationToken cancellationToken)
    {
        int deleted = 0;
        foreach (RunId[] ids in found.Chunk(Batch))
        {
            IReadOnlySet<RunId> known = await rooms.Store.KnownAsync(ids, cancellationToken);
            foreach (RunId id in ids.Where(id => !known.Contains(id)))
            {
                rooms.Logs.Delete(id);
                deleted++;
            }
        }

        return deleted;
    }

    /// <param name="logs">Runs whose logs the last server left.</param>
    public Task RunAsync(IReadOnlyList<RunId> logs, CancellationToken stop) => Task.WhenAll(
        TryAsync("logs", token => DeleteUnknownLogsAsync(logs, token), stop),
        RepeatAsync("age", AgeInterval, ExpireWaitingAsync, stop),
        RepeatAsync("bodies", RetentionInterval, ExpireBodiesAsync, stop),
        RepeatAsync("doubts", RetentionInterval, SettleDoubtsAsync, stop),
        RepeatAsync("records", RetentionInterval, DeleteRecordsAsync, stop),
        RepeatAsync("dead letters", RetentionInterval, TrimDeadLettersAsync, stop),
        RepeatAsync("logs", RetentionInterval, DeleteLogsAsync, stop));

    private async Task<bool> IsLiveAsync(RunId id, CancellationToken cancellationToken) =>
        (calls.Find(id)?.Run ?? await rooms.Store.FindAsync(id, cancellationToken)) is { } run
        && !run.State.IsTerminal();

    private async Task RepeatAsync(string name, TimeSpan interval, Func<CancellationToken, Task<int>> pass,
        CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            int done = await TryAsync(name, pass, stop);
            if (done < Batch)
            {
                await Task.Delay(interval, rooms.Time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task<int> TryAsync(string name, Func<CancellationToken, Task<int>> pass, CancellationToken stop)
    {
        try
        {
            return await pass(stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 0;
        }
        catch (Exception error)
        {
            Log.PassFailed(rooms.Logger, name, error);
            return 0;
        }
    }
}
