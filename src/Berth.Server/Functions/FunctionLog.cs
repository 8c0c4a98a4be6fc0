using System.Globalization;
using System.Runtime.CompilerServices;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Functions;

/// <param name="Run">Whose program wrote it: a call's, a task's or an instance's.</param>
internal readonly record struct FunctionLogLine(RunId Run, LogLine Line);

/// <summary>What the programs of a function wrote, of all its instances and newest calls together, by time.</summary>
internal sealed class FunctionLog(FunctionManager functions, RunManager runs)
{
    /// <summary>Ended runs that are looked at; those under way always are.</summary>
    public const int RecentRuns = 200;

    /// <summary>What comes at nearly the same time by several programs is put in order.</summary>
    private static readonly TimeSpan Gather = TimeSpan.FromMilliseconds(50);

    /// <summary>Between two looks at whether the function is still there.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1);

    /// <param name="revision">Of this one alone; null for all.</param>
    /// <exception cref="BerthException">NotFound.</exception>
    public void Check(string name, int? revision)
    {
        Function function = functions.Get(name).Record;
        if (revision is { } number && function.Find(number) is null)
        {
            throw FunctionSteps.NoRevision(function, number);
        }
    }

    /// <summary>The lines there are, and with <see cref="LogQuery.Follow"/> what is added to them until the function is
    /// removed.</summary>
    public async IAsyncEnumerable<FunctionLogLine> ReadAsync(
        string name, int? revision, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Begun before anything is read: what is written meanwhile is read again rather than missed.
        using LogWatch? watch = query.Follow ? runs.Rooms.Logs.Watch() : null;
        long skip = 0;
        if (query.Tail is { } tail)
        {
            using LogMerge counted = await MergeAsync(name, revision, cancellationToken);
            skip = Math.Max(0, counted.Read(query.Since).LongCount(l => !l.Line.Partial) - tail);
        }

        using LogMerge merge = await MergeAsync(name, revision, cancellationToken);
        foreach (FunctionLogLine line in merge.Read(query.Since))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (skip == 0)
            {
                yield return line;
            }
            else if (!line.Line.Partial)
            {
                skip--;
            }
        }

        while (watch is not null)
        {
            await watch.Changed.WaitAsync(Quiet, runs.Rooms.Time, cancellationToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
            await Task.Delay(Gather, runs.Rooms.Time, cancellationToken);
            List<string> ended = await TakeAsync(watch, merge, name, revision, cancellationToken);
            foreach (FunctionLogLine line in merge.Read(null))
            {
                yield return line;
            }

            ended.ForEach(merge.Drop);
            if (merge.IsEmpty && functions.Find(name) is null)
            {
                yield break;
            }
        }
    }

    /// <summary>Everything of the function that has a log.</summary>
    private async Task<LogMerge> MergeAsync(string name, int? revision, CancellationToken cancellationToken)
    {
        Dictionary<string, string> labels = new() { [FunctionLabels.Function] = name };
        if (revision is { } number)
        {
            labels[FunctionLabels.Revision] = number.ToString(CultureInfo.InvariantCulture);
        }

        // An instance may be older than any number of calls.
        IEnumerable<Run> live = runs.Live(FunctionLabels.Function, name).Where(r => IsOf(r, name, revision));
        RunList recent = await runs.ListAsync(
            new RunQuery(null, null, null, labels, RecentRuns, null), cancellationToken);
        LogMerge merge = new(runs.Rooms.Logs);
        foreach (Run run in live.Concat(recent.Runs))
        {
            merge.Add(run.Id);
            if (run.State.IsTerminal())
            {
                merge.EndAfterReading(run.Id);
            }
        }

        return merge;
    }

    /// <summary>Takes in what was written by programs that were not known yet; returns whose logs are complete.
    /// </summary>
    private async Task<List<string>> TakeAsync(
        LogWatch watch, LogMerge merge, string name, int? revision, CancellationToken cancellationToken)
    {
        List<string> ended = [];
        foreach ((string key, bool complete) in watch.Take(out int _))
        {
            if (!RunId.TryParse(key, out RunId id))
            {
                continue;
            }

            if (!merge.Knows(id) && await FindAsync(id, cancellationToken) is { } run && IsOf(run, name, revision))
            {
                merge.Add(id);
            }

            if (complete)
            {
                ended.Add(key);
            }
        }

        return ended;
    }

    private async Task<Run?> FindAsync(RunId id, CancellationToken cancellationToken)
    {
        try
        {
            return await runs.GetAsync(id, cancellationToken);
        }
        catch (BerthException error) when (error.Code == ErrorCode.RunNotFound)
        {
            return null;
        }
    }

    private static bool IsOf(Run run, string name, int? revision) =>
        run.Spec.Labels.GetValueOrDefault(FunctionLabels.Function) == name
        && (revision is not { } number
            || run.Spec.Labels.GetValueOrDefault(FunctionLabels.Revision)
                == number.ToString(CultureInfo.InvariantCulture));
}
