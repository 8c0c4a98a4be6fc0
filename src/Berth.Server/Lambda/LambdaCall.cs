using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Core.Rollouts;
using Berth.Core.Runs;
using Berth.Server.Instances;
using Berth.Server.Rollouts;

namespace Berth.Server.Lambda;

/// <summary>Where a call goes.</summary>
/// <param name="Timeout">Of the whole call, waiting included.</param>
/// <param name="Caller">Whose turn it is when calls wait.</param>
internal sealed record LambdaRoute(
    InstancePool Pool, RevisionKey Revision, TimeSpan Timeout, string Caller);

/// <summary>
/// One call of a Lambda function: waits for an instance, gives it the event and returns the answer. Knows nothing of
/// who asks, so that calls which nobody waits for go through here too. Disposing gives the instance back, or ends it
/// where it overran.
/// </summary>
internal sealed class LambdaCall : IAsyncDisposable
{
    /// <summary>After its last answer a program may still be busy with itself; the call goes to another instance then.
    /// </summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly LambdaRoute route;
    private readonly RevisionMeters? meters;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource deadline;
    private readonly DateTimeOffset ends;
    private Instance? instance;
    private AnswerStream? streaming;
    private CallVerdict verdict = CallVerdict.Nothing;
    private long entered;
    private bool overran;
    private volatile bool abandoned;
    private long received;
    private long sent;
    private (long Output, long Errors) mark;

    private LambdaCall(LambdaRoute route, string? id, RevisionMeters? meters, TimeProvider time)
    {
        this.route = route;
        this.meters = meters;
        this.time = time;
        deadline = new CancellationTokenSource(route.Timeout, time);
        ends = time.GetUtcNow() + route.Timeout;
        Id = id ?? Guid.CreateVersion7(time.GetUtcNow()).ToString();
    }

    /// <summary>What the program knows the call by.</summary>
    public string Id { get; }

    public Instance Instance => instance ?? throw new InvalidOperationException("The call has no instance.");

    /// <summary>When the call's time is over.</summary>
    public CancellationToken Deadline => deadline.Token;

    /// <summary>Since it had an instance.</summary>
    public TimeSpan Elapsed => time.GetElapsedTime(entered);

    /// <summary>Returns once an instance is free for it.</summary>
    /// <param name="gone">Nobody wants it any more.</param>
    /// <exception cref="BerthException">What the pool refuses it with; <c>RunTimedOut</c>.</exception>
    public static async Task<LambdaCall> BeginAsync(
        LambdaRoute route, RevisionMeters meters, TimeProvider time, CancellationToken gone)
    {
        LambdaCall call = new(route, null, meters, time);
        try
        {
            await call.EnterAsync(gone);
            return call;
        }
        catch
        {
            await call.DisposeAsync();
            throw;
        }
    }

    /// <summary>A try of a task, which has its instance already. Its time begins now, and the task is what counts.
    /// </summary>
    /// <param name="id">The same for every try.</param>
    public static LambdaCall Begin(LambdaRoute route, Instance taken, string id, TimeProvider time) =>
        new(route, id, null, time) { instance = taken, entered = time.GetTimestamp() };

    /// <summary>Nobody wants its answer any more. The instance is ended, since nothing else ends a handler.</summary>
    public void Abandon()
    {
        abandoned = true;
        try
        {
            deadline.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just ended.
        }
    }

    /// <summary>Once. A caller who leaves meanwhile changes nothing: there is no way to tell the program.</summary>
    /// <exception cref="BerthException">Why there is no answer.</exception>
    public async Task<LambdaAnswer> InvokeAsync(LambdaEvent content)
    {
        received = content.Payload.Length;
        for (int tries = 1; ; tries++)
        {
            Invocation invocation = new(Id, content, LambdaEnvironment.ArnOf(route.Revision.Function), ends);
            mark = Instance.Live.Mark;
            Instance.Session!.Give(invocation);
            bool tooBusy = !await IsAskedForAsync(invocation) && Instance.Session.TakeBack(invocation);
            if (tooBusy && deadline.IsCancellationRequested)
            {
                throw Late(null);
            }

            if (!tooBusy)
            {
                try
                {
                    return Judge(await invocation.Answer.WaitAsync(deadline.Token));
                }
                catch (IOException) when (!invocation.Delivered.IsCompleted && tries < InstancePool.MaxTries)
                {
                    // It ended before it knew of the call.
                }
                catch (IOException error)
                {
                    throw Failed(await Instance.ExplainAsync(route.Pool.Name, error));
                }
                catch (OperationCanceledException error)
                {
                    overran = true;
                    throw Late(error);
                }
            }

            Leave(dismiss: true);
            await EnterAsync(CancellationToken.None);
        }
    }

    /// <summary>More of a streamed answer; empty at its end.</summary>
    /// <exception cref="BerthException">It broke off, or its handler says so.</exception>
    public async Task<ReadResult> ReadAsync(AnswerStream stream)
    {
        try
        {
            ReadResult read = await stream.Body.ReadAsync(deadline.Token);
            sent += read.Buffer.Length;
            if (!read.IsCompleted || stream.Failure() is not { } failure)
            {
                return read;
            }

            stream.Body.AdvanceTo(read.Buffer.End);
            stream.Finish();
            throw Failed(new BerthException(
                ErrorCode.RunFailed, $"{route.Pool.Name} broke off its answer: {failure.Type}: {failure.Message}"));
        }
        catch (OperationCanceledException error) when (deadline.IsCancellationRequested)
        {
            overran = true;
            stream.Finish();
            throw Late(error);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            stream.Finish();
            throw Failed(await Instance.ExplainAsync(route.Pool.Name, error));
        }
    }

    /// <summary>What the program wrote to its log during the call, at most 4 KiB.</summary>
    public Task<string> LogAsync() => Instance.Live.SaidSinceAsync(mark, TimeSpan.FromMilliseconds(100), time);

    public async ValueTask DisposeAsync()
    {
        if (streaming is { IsFinished: false } left)
        {
            await DropAsync(left);
        }

        if (instance is not null)
        {
            instance.Live.Count(received, sent);
            if (overran)
            {
                instance.Live.Retire(
                    abandoned
                        ? $"Call {Id} was ended while it had it."
                        : $"It overran the {RunSentences.Span(route.Timeout)} of call {Id}.",
                    abandoned ? EndReason.Canceled : EndReason.TimedOut);
            }

            Leave(overran);
        }

        meters?.Count(
            route.Revision, overran ? CallVerdict.Failed : verdict,
            entered == 0 ? TimeSpan.Zero : time.GetElapsedTime(entered));
        deadline.Dispose();
    }

    private async Task EnterAsync(CancellationToken gone)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, gone);
        try
        {
            instance = await route.Pool.EnterAsync(route.Caller, either.Token);
            entered = time.GetTimestamp();
        }
        catch (OperationCanceledException error) when (deadline.IsCancellationRequested)
        {
            throw Late(error);
        }
        catch (BerthException error)
        {
            throw Failed(error);
        }
    }

    private void Leave(bool dismiss)
    {
        Instance left = Instance;
        instance = null;
        route.Pool.Leave(left, dismiss);
    }

    /// <summary>False when it has not been asked for in time.</summary>
    private async Task<bool> IsAskedForAsync(Invocation invocation)
    {
        if (invocation.Delivered.IsCompleted)
        {
            return true;
        }

        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token);
        Task first = await Task.WhenAny(
            invocation.Delivered, invocation.Answer, Task.Delay(Patience, time, over.Token));
        await over.CancelAsync();
        return first == invocation.Delivered || first == invocation.Answer;
    }

    private LambdaAnswer Judge(LambdaAnswer answer)
    {
        verdict = answer is LambdaAnswer.Failed ? CallVerdict.Failed : CallVerdict.Succeeded;
        streaming = (answer as LambdaAnswer.Streamed)?.Stream;
        sent = (answer as LambdaAnswer.Whole)?.Body.Length ?? 0;
        return answer;
    }

    private BerthException Failed(BerthException error)
    {
        verdict = CallVerdicts.Of(error.Code);
        return error;
    }

    /// <summary>The caller has left; the program is heard to its end, so that the instance is whole again.</summary>
    private async Task DropAsync(AnswerStream left)
    {
        try
        {
            ReadResult read;
            do
            {
                read = await ReadAsync(left);
                left.Body.AdvanceTo(read.Buffer.End);
            }
            while (!read.IsCompleted);
        }
        catch (BerthException)
        {
            // That is its end, too.
        }
        finally
        {
            left.Finish();
        }
    }

    /// <param name="error">Null where the program never had it.</param>
    private BerthException Late(OperationCanceledException? error)
    {
        string limit = RunSentences.Span(route.Timeout);
        return overran
            ? new BerthException(
                ErrorCode.RunTimedOut,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Task timed out after {route.Timeout.TotalSeconds:0.00} seconds: the instance {Instance.Id} of "
                    + $"{route.Pool.Name} gave no whole answer within the call's {limit}. Raise the timeout, or see "
                    + $"'berth logs' for what it does."),
                error)
            : new BerthException(
                ErrorCode.RunTimedOut,
                $"A call of {route.Pool.Name} waited all of its {limit} for an instance: raise the timeout or "
                + "max-instances.",
                error)
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            };
    }
}
