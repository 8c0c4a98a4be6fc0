using System.Runtime.CompilerServices;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Logs;

namespace Berth.Server.Cluster;

/// <summary>
/// The log of a run wherever that is under way: of the server that had it last, and while it is followed of each that
/// takes it over. What the one before had is told by that one alone.
/// </summary>
/// <param name="here">Lines of this server's own part; followed, until the run has ended or is another's.</param>
/// <param name="hasEnded">Whether the run has.</param>
internal sealed class FollowedLog(
    Peers peers, Func<RunId, LogQuery, CancellationToken, IAsyncEnumerable<LogLine>> here,
    Func<RunId, CancellationToken, Task<bool>> hasEnded, TimeProvider time)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>Throws <c>ServerUnreachable</c> where the server that has it is away, unless another one may go on with
    /// the run.</summary>
    public async IAsyncEnumerable<LogLine> ReadAsync(
        RunId id, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // By server: until when its lines were told. Clocks of two servers are not compared.
        Dictionary<string, DateTimeOffset> told = new(StringComparer.Ordinal);
        int? tail = query.Tail;
        while (true)
        {
            string? holder = await peers.HolderAsync(id, cancellationToken);
            string key = holder ?? "";
            LogQuery rest = query with
            {
                Tail = tail,
                Since = told.TryGetValue(key, out DateTimeOffset last) ? last.AddTicks(1) : query.Since,
            };
            BerthException? away = null;
            await using (IAsyncEnumerator<LogLine> lines = (holder is null
                ? here(id, rest, cancellationToken)
                : peers.LogsAsync(holder, id, rest, cancellationToken)).GetAsyncEnumerator(cancellationToken))
            {
                while (true)
                {
                    try
                    {
                        if (!await lines.MoveNextAsync())
                        {
                            break;
                        }
                    }
                    catch (BerthException error) when (error.Code == ErrorCode.ServerUnreachable && query.Follow)
                    {
                        away = error;
                        break;
                    }

                    told[key] = lines.Current.At;
                    tail = null;
                    yield return lines.Current;
                }
            }

            bool isOver = !query.Follow || await hasEnded(id, cancellationToken);
            if (isOver && await peers.HolderAsync(id, cancellationToken) == holder)
            {
                if (away is not null)
                {
                    throw away;
                }

                yield break;
            }

            tail = null;
            await Task.Delay(Pause, time, cancellationToken);
        }
    }
}
