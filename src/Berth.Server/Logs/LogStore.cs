using System.Runtime.CompilerServices;
using Berth.Core.Resources;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Logs;

/// <summary>
/// What programs wrote, kept after their sandboxes are gone: a folder of segments for each key, bounded, the beginning
/// and the newest part of it. Readers follow without polling; they and the writer share only the files.
/// </summary>
internal sealed class LogStore
{
    private readonly string folder;
    private readonly long segmentLimit;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly LogSignals signals = new();

    /// <param name="limit">Bytes kept for each key.</param>
    public LogStore(string folder, ByteSize limit, TimeProvider time, ILogger logger)
    {
        this.folder = Path.GetFullPath(folder);
        this.time = time;
        this.logger = logger;
        segmentLimit = Math.Max(limit.Bytes / LogSegments.Kept, LogFormat.MaxRecord);
        Directory.CreateDirectory(this.folder);
    }

    /// <summary>Keys that have a log here.</summary>
    public IEnumerable<string> Keys => Directory.EnumerateDirectories(folder).Select(p => Path.GetFileName(p));

    /// <summary>Continues a log with what comes by standard error. The caller disposes it.</summary>
    public RunLogWriter Append(string key) => new(
        new LogFile(PathOf(key), segmentLimit, time, logger), ownsFile: true, LogStream.Error, time, signals.For(key));

    /// <summary>Continues a log with both streams. The caller disposes the writers, then the file.</summary>
    public (RunLogWriter Output, RunLogWriter Error, IDisposable File) AppendBoth(string key)
    {
        LogFile file = new(PathOf(key), segmentLimit, time, logger);
        LogSignals.Handle signal = signals.For(key);
        return (
            new RunLogWriter(file, ownsFile: false, LogStream.Output, time, signal),
            new RunLogWriter(file, ownsFile: false, LogStream.Error, time, signal),
            file);
    }

    /// <summary>Lets followers finish. Call once the last writer is disposed.</summary>
    public void Complete(string key) => signals.Complete(key);

    /// <summary>
    /// The lines of a log; none where nothing was written. <paramref name="isLive"/> says whether more may come; it is
    /// asked only to follow.
    /// </summary>
    public async IAsyncEnumerable<LogLine> ReadAsync(
        string key, LogQuery query, Func<CancellationToken, Task<bool>> isLive,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using LogSignals.Follower? follower = query.Follow ? signals.Follow(key) : null;
        bool live = follower is not null && await isLive(cancellationToken);
        using LogCursor cursor = new(PathOf(key), segmentLimit);
        int? tail = query.Tail;
        while (true)
        {
            // Order matters: look first, then read, then wait for what has changed since the look.
            (Task changed, bool completed) = follower?.Look() ?? (Task.CompletedTask, true);
            foreach (LogLine line in ReadAvailable(cursor, query.Since, tail))
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return line;
            }

            if (!live || completed)
            {
                yield break;
            }

            tail = null;
            await changed.WaitAsync(cancellationToken);
        }
    }

    /// <summary>A reader of its own of what there is and what is added to it; null where nothing was written yet. The
    /// caller disposes it.</summary>
    public LogCursor? Open(string key) =>
        LogSegments.List(PathOf(key)).Count == 0 ? null : new LogCursor(PathOf(key), segmentLimit);

    /// <summary>As <see cref="LogSignals.Watch"/>.</summary>
    public LogWatch Watch() => signals.Watch();

    public void Delete(string key)
    {
        string path = PathOf(key);
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>When the last line of a log was written.</summary>
    public DateTime LastWrite(string key)
    {
        string path = PathOf(key);
        return LogSegments.List(path)
            .Select(number => File.GetLastWriteTimeUtc(LogSegments.PathOf(path, number)))
            .Append(Directory.GetLastWriteTimeUtc(path))
            .Max();
    }

    private string PathOf(string key) => Path.Combine(folder, key);

    private static IEnumerable<LogLine> ReadAvailable(LogCursor cursor, DateTimeOffset? since, int? tail)
    {
        if (tail is null)
        {
            while (cursor.TryRead(out LogLine line))
            {
                if (since is null || line.At >= since)
                {
                    yield return line;
                }
            }

            yield break;
        }

        foreach (LogLine line in Last(cursor, since, tail.Value))
        {
            yield return line;
        }
    }

    /// <summary>The records of the last lines; one whose end has not come yet counts as a line.</summary>
    private static Queue<LogLine> Last(LogCursor cursor, DateTimeOffset? since, int lines)
    {
        Queue<LogLine> last = new();
        int begun = 0;
        bool within = false;
        while (cursor.TryRead(out LogLine line))
        {
            if (line.At < since || lines == 0)
            {
                continue;
            }

            begun += within ? 0 : 1;
            within = line.Partial;
            last.Enqueue(line);
            while (begun > lines)
            {
                begun -= last.Dequeue().Partial ? 0 : 1;
            }
        }

        return last;
    }
}
