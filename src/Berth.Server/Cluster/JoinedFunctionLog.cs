using System.Runtime.CompilerServices;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Logs;

namespace Berth.Server.Cluster;

/// <summary>
/// The parts of a function's log as one: what there is by time, then what comes as it comes. A part that breaks or is
/// silent is named in its place; while the log is followed it is asked for again. Holds one line of each.
/// </summary>
/// <param name="origins">Servers that can be asked now, this one among them as the last.</param>
/// <param name="gone">Others that have a part of it.</param>
/// <param name="isThere">Whether the function is.</param>
internal sealed class JoinedFunctionLog(
    Func<IReadOnlyList<FunctionLogOrigin>> origins,
    Func<CancellationToken, Task<IReadOnlyList<FunctionLogOrigin>>> gone, Func<bool> isThere, TimeProvider time)
{
    /// <summary>Between two looks at which servers there are.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    public async IAsyncEnumerable<FunctionLogNews> ReadAsync(
        LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Dictionary<string, FunctionLogPart> parts = new(StringComparer.Ordinal);
        try
        {
            IReadOnlyList<FunctionLogOrigin> others = await gone(cancellationToken);
            Begin(parts, [.. others, .. origins()], query, cancellationToken);
            await foreach (FunctionLogNews news in ReadPastAsync([.. parts.Values], query.Tail, cancellationToken))
            {
                yield return news;
            }

            if (query.Follow)
            {
                await foreach (FunctionLogNews news in FollowAsync(parts, query, cancellationToken))
                {
                    yield return news;
                }
            }
        }
        finally
        {
            foreach (FunctionLogPart part in parts.Values)
            {
                await part.DisposeAsync();
            }
        }
    }

    private void Begin(
        Dictionary<string, FunctionLogPart> parts, IEnumerable<FunctionLogOrigin> asked, LogQuery query,
        CancellationToken cancellationToken)
    {
        foreach (FunctionLogOrigin origin in asked)
        {
            if (!parts.TryGetValue(origin.Server, out FunctionLogPart? part))
            {
                parts.Add(origin.Server, part = new FunctionLogPart(origin, time));
            }

            if (!part.IsOpen)
            {
                part.Begin(query, cancellationToken);
            }
        }
    }

    /// <summary>What was written before now.</summary>
    private static async IAsyncEnumerable<FunctionLogNews> ReadPastAsync(
        IReadOnlyList<FunctionLogPart> parts, int? tail, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        PriorityQueue<FunctionLogPart, (DateTimeOffset, RunId)> next = new();
        long lines = 0;
        foreach (FunctionLogPart part in parts)
        {
            (bool isLine, long count, string? missing) = await NextLineAsync(part, cancellationToken);
            if (missing is not null)
            {
                yield return new FunctionLogNews(FunctionLogMark.Missing, Why: missing);
            }

            if (isLine)
            {
                lines += count;
                next.Enqueue(part, OrderOf(part));
            }
        }

        // Each tells its own last ones; of all together only the last are wanted.
        long skip = tail is { } wanted ? Math.Max(0, lines - wanted) : 0;
        while (next.TryDequeue(out FunctionLogPart? part, out _))
        {
            while (true)
            {
                FunctionLogLine line = part.Current.Line;
                if (skip == 0)
                {
                    yield return part.Current;
                }
                else if (!line.Line.Partial)
                {
                    skip--;
                }

                (bool isLine, _, string? missing) = await NextLineAsync(part, cancellationToken);
                if (missing is not null)
                {
                    yield return new FunctionLogNews(FunctionLogMark.Missing, Why: missing);
                }

                if (!isLine)
                {
                    break;
                }

                if (!line.Line.Partial || part.Current.Line.Run != line.Run)
                {
                    next.Enqueue(part, OrderOf(part));
                    break;
                }
            }
        }
    }

    /// <summary>What comes from now on; ends when the function is removed.</summary>
    private async IAsyncEnumerable<FunctionLogNews> FollowAsync(
        Dictionary<string, FunctionLogPart> parts, LogQuery query,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Task look = Task.Delay(Interval, time, cancellationToken);
        while (true)
        {
            FunctionLogPart[] open = [.. parts.Values.Where(p => p.IsOpen)];
            if (open.Length == 0 && !isThere())
            {
                yield break;
            }

            await Task.WhenAny([look, .. open.Select(p => p.Coming)]);
            cancellationToken.ThrowIfCancellationRequested();
            foreach (FunctionLogPart part in open.Where(p => p.Coming.IsCompleted))
            {
                (bool moved, string? missing) = await part.MoveAsync(isLimited: false, cancellationToken);
                if (missing is not null)
                {
                    yield return new FunctionLogNews(FunctionLogMark.Missing, Why: missing);
                }

                if (moved && part.Current.Mark == FunctionLogMark.Line)
                {
                    yield return part.Current;
                }
            }

            if (look.IsCompleted)
            {
                look = Task.Delay(Interval, time, cancellationToken);
                if (isThere())
                {
                    Begin(parts, origins(), query, cancellationToken);
                }
            }
        }
    }

    /// <summary>Moves on to the next line that was written before now; false where there is none.</summary>
    private static async Task<(bool IsLine, long Count, string? Missing)> NextLineAsync(
        FunctionLogPart part, CancellationToken cancellationToken)
    {
        long count = 0;
        while (true)
        {
            (bool moved, string? missing) = await part.MoveAsync(isLimited: true, cancellationToken);
            if (!moved || part.Current.Mark == FunctionLogMark.Now)
            {
                return (false, 0, missing);
            }

            if (part.Current.Mark == FunctionLogMark.Line)
            {
                return (true, count, null);
            }

            count += part.Current.Count;
        }
    }

    private static (DateTimeOffset At, RunId Run) OrderOf(FunctionLogPart part) =>
        (part.Current.Line.Line.At, part.Current.Line.Run);
}
