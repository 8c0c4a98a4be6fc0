using Berth.Core.Runs;
using Berth.Server.Logs;

namespace Berth.Server.Functions;

/// <summary>The logs of several runs as one, by time; lines of one run stay in their order, and the parts of a long
/// line together. Holds one line of each.</summary>
internal sealed class LogMerge(RunLogs logs) : IDisposable
{
    /// <summary>Lines passed over between two signs that it is being read: 64 MiB of the longest.</summary>
    public const int BusyLines = 4096;

    private readonly Dictionary<string, Source> sources = new(StringComparer.Ordinal);
    private readonly HashSet<string> done = new(StringComparer.Ordinal);

    /// <summary>No log is being read.</summary>
    public bool IsEmpty => sources.Count == 0;

    /// <summary>Whether it was added before, be it that it has ended.</summary>
    public bool Knows(RunId id) => sources.ContainsKey(id.Text) || done.Contains(id.Text);

    /// <summary>Nothing happens where it is known already, or has written nothing.</summary>
    public void Add(RunId id)
    {
        if (!Knows(id) && logs.Open(id) is { } cursor)
        {
            sources[id.Text] = new Source(id, cursor);
        }
    }

    /// <summary>Nothing more comes than there is.</summary>
    public void EndAfterReading(RunId id)
    {
        if (sources.TryGetValue(id.Text, out Source? source))
        {
            source.IsLast = true;
        }
        else
        {
            done.Add(id.Text);
        }
    }

    /// <summary>What there is now and was not read before; null now and then where lines are passed over because they
    /// are older.</summary>
    public IEnumerable<FunctionLogLine?> Read(DateTimeOffset? since)
    {
        PriorityQueue<(Source Source, LogLine Line), (DateTimeOffset, RunId)> next = new();
        long passed = 0;
        foreach (Source source in sources.Values)
        {
            while (PassesOlder(source, since, ref passed))
            {
                yield return null;
            }

            Advance(source, next);
        }

        while (next.TryDequeue(out (Source Source, LogLine Line) first, out _))
        {
            yield return new FunctionLogLine(first.Source.Run, first.Line);
            LogLine line = first.Line;
            while (line.Partial && first.Source.Cursor.TryRead(out line))
            {
                yield return new FunctionLogLine(first.Source.Run, line);
            }

            while (PassesOlder(first.Source, since, ref passed))
            {
                yield return null;
            }

            Advance(first.Source, next);
        }

        foreach (string ended in sources.Values.Where(s => s.IsLast).Select(s => s.Run.Text).ToArray())
        {
            Drop(ended);
            done.Add(ended);
        }
    }

    /// <summary>Its last line was read.</summary>
    public void Drop(string run)
    {
        if (sources.Remove(run, out Source? source))
        {
            source.Cursor.Dispose();
        }
    }

    public void Dispose()
    {
        foreach (Source source in sources.Values)
        {
            source.Cursor.Dispose();
        }
    }

    /// <summary>Passes over lines to the next that is wanted. True where there may be more of them: then it is time for
    /// a sign.</summary>
    private static bool PassesOlder(Source source, DateTimeOffset? since, ref long passed)
    {
        while (source.Cursor.TryRead(out LogLine line))
        {
            if (since is null || line.At >= since)
            {
                source.Next = line;
                return false;
            }

            if (++passed % BusyLines == 0)
            {
                return true;
            }
        }

        return false;
    }

    private static void Advance(
        Source source, PriorityQueue<(Source Source, LogLine Line), (DateTimeOffset, RunId)> next)
    {
        if (source.Next is { } line)
        {
            source.Next = null;
            next.Enqueue((source, line), (line.At, source.Run));
        }
    }

    private sealed class Source(RunId run, LogCursor cursor)
    {
        /// <summary>Read, and in no order yet.</summary>
        public LogLine? Next { get; set; }

        public RunId Run => run;

        public LogCursor Cursor => cursor;

        public bool IsLast { get; set; }
    }
}
