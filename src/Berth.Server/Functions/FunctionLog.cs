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

/// <summary>What comes of a function's log: a line, or how far it is told.</summary>
internal enum FunctionLogMark
{
    Line,

    /// <summary>How many whole lines there are of what was written before; told first where only the last were asked
    /// for.</summary>
    Count,

    /// <summary>It is being read, and nothing of it is told yet.</summary>
    Busy,

    /// <summary>All that was written before is told; what comes now is added to it.</summary>
    Now,

    /// <summary>Lines of another server are missing.</summary>
    Missing,
}

/// <param name="Count">With the mark of that name.</param>
/// <param name="Why">With <see cref="FunctionLogMark.Missing"/>: whose, and why.</param>
internal readonly record struct FunctionLogNews(
    FunctionLogMark Mark, FunctionLogLine Line = default, long Count = 0, string? Why = null);

/// <summary>What the programs of a function wrote whose logs are at this server, of all its instances and newest calls
/// together, by time.</summary>
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
    public async IAsyncEnumerable<FunctionLogNews> ReadAsync(
        string name, int? revision, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Begun before anything is read: what is written meanwhile is read again rather than missed.
        using LogWatch? watch = query.Follow ? runs.Rooms.Logs.Watch() : null;
        long skip = 0;
        if (query.Tail is { } tail)
        {
            long lines = 0;
            using LogMerge counted = await MergeAsync(name, revision, cancellationToken);
            foreach (FunctionLogLine? read in counted.Read(query.Since))
            {
                cancellationToken.ThrowIfCancellationRequested();
                bool isWhole = read is { Line.Partial: false };
                lines += isWhole ? 1 : 0;
                if (read is null || (isWhole && lines % LogMerge.BusyLines == 0))
                {
                    yield return new FunctionLogNews(FunctionLogMark.Busy);
                }
            }

            skip = Math.Max(0, lines - tail);
            yield return new FunctionLogNews(FunctionLogMark.Count, Count: lines - skip);
        }

        using LogMerge merge = await MergeAsync(name, revision, cancellationToken);
        foreach (FunctionLogLine? read in merge.Read(query.Since))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (read is { } line && skip == 0)
            {
                yield return new FunctionLogNews(FunctionLogMark.Line, line);
            }
            else if (read is null || (read is { Line.Partial: false } && --skip % LogMerge.BusyLines == 0))
            {
                yield return new FunctionLogNews(FunctionLogMark.Busy);
            }
        }

        if (query.Follow)
        {
            yield return new FunctionLogNews(FunctionLogMark.Now);
        }

        while (watch is not null)
        {
            await watch.Changed.WaitAsync(Quiet, runs.Rooms.Time, cancellationToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
            await Task.Delay(Gather, runs.Rooms.Time, cancellationToken);
            List<string> ended = await TakeAsync(watch, merge, name, revision, cancellationToken);
            foreach (FunctionLogLine line in merge.Read(null).OfType<FunctionLogLine>())
            {
                yield return new FunctionLogNews(FunctionLogMark.Line, line);
            }

            ended.ForEach(merge.Drop);
            if (merge.IsEmpty && functions.Find(name) is null)
            {
                yield break;
            }
        }
    }

    /// <summary>The newest runs of the function, wherever their logs are.</summary>
    public async Task<IReadOnlyList<Run>> RecentAsync(string name, int? revision, CancellationToken cancellationToken)
    {
        Dictionary<string, string> labels = new() { [FunctionLabels.Function] = name };
        if (revision is { } number)
        {
            labels[FunctionLabels.Revision] = number.ToString(CultureInfo.InvariantCulture);
        }

        return (await runs.ListAsync(
            new RunQuery(null, null, null, labels, RecentRuns, null), cancellationToken)).Runs;
    }

    /// <summary>Everything of the function that has a log here.</summary>
    private async Task<LogMerge> MergeAsync(string name, int? revision, CancellationToken cancellationToken)
    {
        // An instance may be older than any number of calls.
        IEnumerable<Run> live = runs.Live(FunctionLabels.Function, name).Where(r => IsOf(r, name, revision));
        IReadOnlyList<Run> recent = await RecentAsync(name, revision, cancellationToken);
        LogMerge merge = new(runs.Rooms.Logs);
        foreach (Run run in live.Concat(recent))
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
