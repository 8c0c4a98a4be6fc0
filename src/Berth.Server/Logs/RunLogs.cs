using System.Runtime.CompilerServices;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Logs;

/// <summary>
/// What programs wrote to standard error, kept after their sandboxes are gone: a folder of segments for each
/// run, bounded, the beginning and the newest part of it. Readers follow without polling; they and the writer
/// share only the files.
/// </summary>
public sealed class RunLogs
{
    private readonly string folder;
    private readonly long segmentLimit;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly LogSignals signals = new();

    /// <param name="limit">Bytes kept for each run.</param>
    public RunLogs(string folder, ByteSize limit, TimeProvider time, ILogger<RunLogs> logger)
    {
        this.folder = Path.GetFullPath(folder);
        this.time = time;
        this.logger = logger;
        segmentLimit = Math.Max(limit.Bytes / LogSegments.Kept, LogFormat.MaxRecord);
        Directory.CreateDirectory(this.folder);
    }

    /// <summary>Continues a run's log. One writer at a time; the caller disposes it.</summary>
    public RunLogWriter Append(RunId id) => new(PathOf(id), segmentLimit, time, signals.For(id), logger);

    /// <summary>Lets followers of an ended run finish. Call once its last writer is disposed.</summary>
    public void Complete(RunId id) => signals.Complete(id);

    /// <summary>
    /// The lines of a log; none where the run wrote none. <paramref name="isLive"/> says whether the run may still
    /// write; it is asked only to follow.
    /// </summary>
    public async IAsyncEnumerable<LogLine> ReadAsync(
        RunId id, LogQuery query, Func<CancellationToken, Task<bool>> isLive,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using LogSignals.Follower? follower = query.Follow ? signals.Follow(id) : null;
        bool live = follower is not null && await isLive(cancellationToken);
        using LogCursor cursor = new(PathOf(id), segmentLimit);
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

    public void Delete(RunId id)
    {
        string path = PathOf(id);
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>Runs that have a log here.</summary>
    public IEnumerable<RunId> List() => Directory.EnumerateDirectories(folder)
        .Select(path => RunId.TryParse(Path.GetFileName(path), out RunId id) ? id : default)
        .Where(id => !id.IsEmpty);

    /// <summary>
    /// Runs whose last line is older than <paramref name="cutoff"/>. Younger runs are known by their ids and not looked
    /// at.
    /// </summary>
    public IEnumerable<RunId> UntouchedSince(DateTimeOffset cutoff) =>
        List().Where(id => id.UnixMilliseconds < cutoff.ToUnixTimeMilliseconds() && LastWrite(id) < cutoff.UtcDateTime);

    private DateTime LastWrite(RunId id)
    {
        string path = PathOf(id);
        return LogSegments.List(path)
            .Select(number => File.GetLastWriteTimeUtc(LogSegments.PathOf(path, number)))
            .Append(Directory.GetLastWriteTimeUtc(path))
            .Max();
    }

    private string PathOf(RunId id) => Path.Combine(folder, id.Text);

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
