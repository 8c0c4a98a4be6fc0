using Berth.Core.Callbacks;
using Berth.Core.Faults;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>
/// Puts in order what the last server left: runs under way go back to the queue or are closed with the truth, files
/// that no run names are deleted. Runs before anything is accepted, and may itself be cut off and run again.
/// </summary>
internal sealed class RunRecovery(RunRooms rooms)
{
    private const int Page = 256;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await rooms.Store.BoundDelaysAsync(
            rooms.Clock.Now, RetryPolicy.LongestDelay * 2, CallbackSchedule.Longest, cancellationToken);
        CrashPoints.Reach(CrashPoint.DelaysBounded);
        int recovered = 0;
        RunId? after = null;
        while (true)
        {
            IReadOnlyList<Run> runs = await rooms.Store.UnfinishedAsync(after, Page, cancellationToken);
            // Containers on other machines went on there.
            Run[] ended = [.. runs.Where(r => r.Kind != RunKind.Container || r.Node == rooms.Node.Info.Name)];
            await RecoverAsync(ended, cancellationToken);
            recovered += ended.Length;
            if (runs.Count < Page)
            {
                break;
            }

            after = runs[^1].Id;
        }

        if (recovered > 0)
        {
            Log.Recovered(rooms.Logger, recovered);
        }

        int swept = await rooms.SweepSpoolAsync(rooms.Spool.List(), rooms.Store.KnownAsync, cancellationToken);
        if (swept > 0)
        {
            Log.SpoolSwept(rooms.Logger, swept);
        }

        rooms.Ledger.Wait((await rooms.Store.CountAsync(cancellationToken)).Queued);
    }

    /// <summary>Gives runs that nobody works on any more back to the queue, or closes them.</summary>
    public async Task RecoverAsync(IReadOnlyList<Run> runs, CancellationToken cancellationToken)
    {
        // Files first: cut off in between, the next start finds the run again.
        foreach (Run run in runs)
        {
            rooms.Spool.DeleteResults(run.Id);
        }

        CrashPoints.Reach(CrashPoint.LeftResultsDeleted);
        await Task.WhenAll(runs.Select(run => rooms.SaveAsync(
            RunSteps.Recover(run, rooms.Clock.Moment, rooms.Options.ResultRetention), cancellationToken)));
        CrashPoints.Reach(CrashPoint.RecoveredRunsStored);
    }
}
