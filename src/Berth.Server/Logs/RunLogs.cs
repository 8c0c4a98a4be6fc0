using Berth.Core.Resources;
using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Logs;

/// <summary>What the programs of runs wrote to standard error.</summary>
public sealed class RunLogs
{
    private readonly LogStore store;

    /// <param name="limit">Bytes kept for each run.</param>
    public RunLogs(string folder, ByteSize limit, TimeProvider time, ILogger<RunLogs> logger) =>
        store = new LogStore(folder, limit, time, logger);

    /// <summary>Continues a run's log. One writer at a time; the caller disposes it.</summary>
    public RunLogWriter Append(RunId id) => store.Append(id.Text);

    /// <summary>The same with what it writes to standard output; the caller disposes all three.</summary>
    public (RunLogWriter Output, RunLogWriter Error, IDisposable File) AppendBoth(RunId id) =>
        store.AppendBoth(id.Text);

    /// <summary>Lets followers of an ended run finish. Call once its last writer is disposed.</summary>
    public void Complete(RunId id) => store.Complete(id.Text);

    /// <summary>
    /// The lines of a log; none where the run wrote none. <paramref name="isLive"/> says whether the run may still
    /// write; it is asked only to follow.
    /// </summary>
    public IAsyncEnumerable<LogLine> ReadAsync(
        RunId id, LogQuery query, Func<CancellationToken, Task<bool>> isLive, CancellationToken cancellationToken) =>
        store.ReadAsync(id.Text, query, isLive, cancellationToken);

    /// <summary>As <see cref="LogStore.Open"/>.</summary>
    internal LogCursor? Open(RunId id) => store.Open(id.Text);

    /// <summary>As <see cref="LogStore.Watch"/>; logs go by the ids of their runs.</summary>
    internal LogWatch Watch() => store.Watch();

    public void Delete(RunId id) => store.Delete(id.Text);

    /// <summary>Runs that have a log here.</summary>
    public IEnumerable<RunId> List() => store.Keys
        .Select(key => RunId.TryParse(key, out RunId id) ? id : default)
        .Where(id => !id.IsEmpty);

    /// <summary>
    /// Runs whose last line is older than <paramref name="cutoff"/>. Younger runs are known by their ids and not looked
    /// at.
    /// </summary>
    public IEnumerable<RunId> UntouchedSince(DateTimeOffset cutoff) => List().Where(id =>
        id.UnixMilliseconds < cutoff.ToUnixTimeMilliseconds() && store.LastWrite(id.Text) < cutoff.UtcDateTime);
}
