using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Logs;

namespace Berth.Server.Cluster;

/// <param name="Server">Empty for this one.</param>
/// <param name="WhyMissing">Tells of what keeps it from being had; null where that keeps the whole log from it.</param>
internal sealed record FunctionLogOrigin(
    string Server, Func<Exception, string>? WhyMissing,
    Func<LogQuery, CancellationToken, IAsyncEnumerable<FunctionLogNews>> Read);

/// <summary>One server's part of a function's log while it is read; begun again where it has ended. Holds one line. Not
/// for concurrent use.</summary>
internal sealed class FunctionLogPart(FunctionLogOrigin origin, TimeProvider time) : IAsyncDisposable
{
    /// <summary>That another server may say nothing while there is something to tell.</summary>
    public static readonly TimeSpan Silence = TimeSpan.FromSeconds(5);

    private static readonly Task<bool> Nothing = Task.FromResult(false);

    /// <summary>How much each run had at the last time, a long line's parts one by one.</summary>
    private readonly Dictionary<RunId, int> atLast = [];

    private CancellationTokenSource? stop;
    private IAsyncEnumerator<FunctionLogNews>? news;
    private DateTimeOffset? first;
    private DateTimeOffset? last;

    /// <summary>Of what was told at the last time, what comes once more.</summary>
    private Dictionary<RunId, int> again = [];
    private bool isMissing;

    public bool IsOpen => news is not null;

    /// <summary>Completes when there is more, or it has ended.</summary>
    public Task<bool> Coming { get; private set; } = Nothing;

    public FunctionLogNews Current { get; private set; }

    /// <summary>Asks for it; of one that was read before, for what came since.</summary>
    public void Begin(LogQuery query, CancellationToken cancellationToken)
    {
        // Its own times are compared with its own. More may have come at the last one than was told; where only the
        // last lines were asked for, how many came before them at the first one's time is not known.
        bool isCounted = query.Tail is null || last != first;
        LogQuery rest = last is { } told
            ? query with { Tail = null, Since = isCounted ? told : told.AddTicks(1) }
            : query;
        again = isCounted ? new Dictionary<RunId, int>(atLast) : [];
        stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        news = origin.Read(rest, stop.Token).GetAsyncEnumerator(stop.Token);
        Coming = news.MoveNextAsync().AsTask();
    }

    /// <summary>Moves on to what comes next; false where that is its end. Says why where it broke, once for each time.
    /// </summary>
    /// <param name="isLimited">Whether another server is waited for no longer than <see cref="Silence"/>.</param>
    public async Task<(bool Moved, string? Missing)> MoveAsync(bool isLimited, CancellationToken cancellationToken)
    {
        try
        {
            bool moved = isLimited && origin.WhyMissing is not null
                ? await Coming.WaitAsync(Silence, time, cancellationToken)
                : await Coming.WaitAsync(cancellationToken);
            if (!moved)
            {
                await DisposeAsync();
                return (false, null);
            }
        }
        catch (Exception error) when (error is BerthException or TimeoutException && origin.WhyMissing is not null)
        {
            await DisposeAsync();
            string? told = isMissing ? null : origin.WhyMissing(error);
            isMissing = true;
            return (false, told);
        }

        Current = news!.Current;
        if (Current.Mark == FunctionLogMark.Line && WasTold(Current.Line))
        {
            Current = new FunctionLogNews(FunctionLogMark.Busy);
        }

        isMissing = false;
        Coming = news.MoveNextAsync().AsTask();
        return (true, null);
    }

    /// <summary>Takes in a line. True where it was told before this was begun again.</summary>
    private bool WasTold(FunctionLogLine line)
    {
        if (line.Line.At == last && again.GetValueOrDefault(line.Run) is > 0 and int left)
        {
            again[line.Run] = left - 1;
            return true;
        }

        first ??= line.Line.At;
        if (last is null || line.Line.At > last)
        {
            last = line.Line.At;
            atLast.Clear();
            again.Clear();
        }

        if (line.Line.At == last)
        {
            atLast[line.Run] = atLast.GetValueOrDefault(line.Run) + 1;
        }

        return false;
    }

    public async ValueTask DisposeAsync()
    {
        if (news is null)
        {
            return;
        }

        await stop!.CancelAsync();
        // It can't be let go of while it moves.
        await ((Task)Coming).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await news.DisposeAsync();
        stop.Dispose();
        news = null;
        Coming = Nothing;
    }
}
