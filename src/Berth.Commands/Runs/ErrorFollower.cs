using System.Buffers;
using Berth.Api.Client;
using Berth.Core.Errors;

namespace Berth.Commands.Runs;

/// <summary>
/// Shows what a run writes to standard error while it runs, every byte once. It comes from the run's log, on a
/// connection of its own: what becomes of that changes nothing about the run and its exit code.
/// </summary>
internal sealed class ErrorFollower : IAsyncDisposable
{
    private const int Block = 16 * 1024;

    /// <summary>How long the log may bring nothing once the run has ended.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Session session;
    private readonly string run;
    private readonly CancellationTokenSource stop;
    private readonly Task following;
    private long shown;
    private volatile bool whole;

    /// <summary>Begins to follow.</summary>
    public ErrorFollower(Session session, string run, CancellationToken cancellationToken)
    {
        this.session = session;
        this.run = run;
        stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        following = FollowAsync();
    }

    /// <summary>Completes when all is shown that can be had. To be called once the run has ended.</summary>
    /// <param name="tail">The end of it that came with the answer; shown where the log can't be read.</param>
    public async Task FinishAsync(string? tail, CancellationToken cancellationToken)
    {
        await WaitAsync(cancellationToken);
        if (whole)
        {
            return;
        }

        using CancellationTokenSource limit = new(Patience, session.Terminal.Time);
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await ShowAsync(new LogOptions(), Interlocked.Read(ref shown), either.Token);
        }
        catch (Exception e)
            when (IsLogFault(e) || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            if (shown == 0 && tail is { Length: > 0 })
            {
                await session.Terminal.Error.WriteAsync(tail.EndsWith('\n') ? tail : tail + "\n");
                return;
            }

            session.Say($"berth: What it wrote to standard error can't be shown: {e.Message} ('berth logs {run}')");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await following;
        stop.Dispose();
    }

    private static bool IsLogFault(Exception e) => e is IOException or BerthException or HttpRequestException;

    private async Task FollowAsync()
    {
        try
        {
            await ShowAsync(new LogOptions(Follow: true), 0, stop.Token);
            whole = true;
        }
        catch (Exception e) when (IsLogFault(e) || e is OperationCanceledException)
        {
            // Read again when the run has ended.
        }
    }

    private async Task WaitAsync(CancellationToken cancellationToken)
    {
        long before = -1;
        while (!following.IsCompleted && Interlocked.Read(ref shown) != before)
        {
            before = Interlocked.Read(ref shown);
            await following.WaitAsync(Patience, session.Terminal.Time, cancellationToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        cancellationToken.ThrowIfCancellationRequested();
        await stop.CancelAsync();
        await following;
    }

    private async Task ShowAsync(LogOptions options, long skip, CancellationToken cancellationToken)
    {
        await using Stream log = await session.Client.Runs.OpenLogsAsync(run, options, cancellationToken);
        byte[] block = ArrayPool<byte>.Shared.Rent(Block);
        try
        {
            int count;
            while ((count = await log.ReadAsync(block, cancellationToken)) > 0)
            {
                int seen = (int)Math.Min(skip, count);
                skip -= seen;
                await session.Terminal.ErrorOutput.WriteAsync(block.AsMemory(seen, count - seen), cancellationToken);
                Interlocked.Add(ref shown, count - seen);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }
}
