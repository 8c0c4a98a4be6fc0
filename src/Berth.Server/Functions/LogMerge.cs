using Berth.Core.Runs;
using Berth.Server.Logs;

namespace Berth.Server.Functions;

/// <summary>The logs of several runs as one, by time; lines of one run stay in their order, and the parts of a long
/// line together. Holds one line of each.</summary>
internal sealed class LogMerge(RunLogs logs) : IDisposable
{
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

    /// <summary>What there is now and was not read before.</summary>
    public IEnumerable<FunctionLogLine> Read(DateTimeOffset? since)
    {
        PriorityQueue<(Source Source, LogLine Line), (DateTimeOffset, RunId)> next = new();
        foreach (Source source in sources.Values)
        {
            Advance(source, since, next);
        }

        while (next.TryDequeue(out (Source Source, LogLine Line) first, out _))
        {
            yield return new FunctionLogLine(first.Source.Run, first.Line);
            LogLine line = first.Line;
            while (line.Partial && first.Source.Cursor.TryRead(out line))
            {
                yield return new FunctionLogLine(first.Source.Run, line);
            }

            Advance(first.Source, since, next);
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

    private static void Advance(
        Source source, DateTimeOffset? since,
        PriorityQueue<(Source Source, LogLine Line), (DateTimeOffset, RunId)> next)
    {
        while (source.Cursor.TryRead(out LogLine line))
        {
            if (since is null || line.At >= since)
            {
                next.Enqueue((source, line), (line.At, source.Run));
                return;
            }
        }
    }

    private sealed class Source(RunId run, LogCursor cursor)
    {
        public RunId Run => run;

        public LogCursor Cursor => cursor;

        public bool IsLast { get; set; }
    }
}
