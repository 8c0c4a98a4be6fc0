using System.Text;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Forwarding;
using Berth.Server.Lambda;
using Berth.Server.Runs;

namespace Berth.Server.Instances;

/// <summary>
/// A running program of a revision, and the connections to it. How many calls it has is its pool's to count.
/// </summary>
internal sealed class Instance : IDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(50);

    /// <summary>A probe that hangs is asked again.</summary>
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(5);

    /// <summary>How long after a broken connection the end of the program is waited for, which would explain it.
    /// </summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromMilliseconds(250);

    private readonly LiveInstance live;
    private readonly ServiceSpec service;
    private readonly TimeProvider time;

    /// <param name="session">With the lambda contract, which has no connections to the program; becomes this object's
    /// own.</param>
    /// <param name="charge">Its part of the memory of all instances of the server's own machine; becomes this object's
    /// own. Null where it is on another.</param>
    public Instance(
        LiveInstance live, ServiceSpec service, RuntimeSession? session, MemoryCharge? charge, TimeProvider time)
    {
        Charge = charge;
        Session = session;
        this.live = live;
        this.service = service;
        this.time = time;
        Connections = new ServiceConnections(
            token => live.ConnectAsync(service.Port, token), most: service.Concurrency);
    }

    public RunId Id => live.Id;

    public ServiceConnections Connections { get; }

    /// <summary>Through which the program asks for its calls; null with the http contract.</summary>
    public RuntimeSession? Session { get; }

    /// <summary>Calls it has now; guarded by its pool.</summary>
    public int Running { get; set; }

    /// <summary>It gets no more calls and ends with its last; guarded by its pool.</summary>
    public bool IsDraining { get; set; }

    /// <summary>Another function needs its memory: it does not come back into use; guarded by its pool.</summary>
    public bool IsGivenUp { get; set; }

    /// <summary>Its node takes nothing new: another is to have its place. Guarded by its pool.</summary>
    public bool IsLeaving { get; set; }

    /// <summary>Nothing is heard of its node: it gets no calls meanwhile. Guarded by its pool.</summary>
    public bool IsSilent { get; set; }

    /// <summary>Nothing of its program runs any more; its record may not be closed yet.</summary>
    public bool HasEnded => live.HasEnded;

    /// <summary>It may be given calls; guarded by its pool.</summary>
    public bool TakesCalls => !IsDraining && !IsSilent && !HasEnded;

    /// <summary>It counts as one of those that are wanted; guarded by its pool.</summary>
    public bool IsOpen => TakesCalls && !IsLeaving;

    /// <summary>Null where it takes none of the server's own machine.</summary>
    public MemoryCharge? Charge { get; }

    /// <summary>Since when it has no call, on its pool's clock; guarded by its pool.</summary>
    public TimeSpan IdleSince { get; set; }

    /// <summary>Stopped where it stands; guarded by its pool.</summary>
    public bool IsFrozen { get; private set; }

    public LiveInstance Live => live;

    /// <summary>Takes note of the memory that it has now, in bytes; 0 once it has ended.</summary>
    public long Measure()
    {
        long bytes = live.Measure()?.Memory.Bytes ?? 0;
        Charge?.Measure(bytes);
        return bytes;
    }

    /// <summary>Its program runs no more until <see cref="Thaw"/>. Ending it thaws it.</summary>
    public void Freeze()
    {
        live.Pause();
        IsFrozen = true;
    }

    /// <summary>Returns when it runs.</summary>
    public void Thaw()
    {
        if (IsFrozen)
        {
            live.Resume();
            IsFrozen = false;
        }
    }

    /// <summary>Returns when it can take calls.</summary>
    /// <param name="name">Of its function and revision, for messages.</param>
    /// <exception cref="BerthException">What kept it from getting so far: it ended, or took too long.</exception>
    public Task BecomeReadyAsync(string name, long since, CancellationToken cancellationToken) =>
        Session is null
            ? AnswerAsync(name, since, cancellationToken)
            : AskAsync(Session, name, since, cancellationToken);

    private async Task AskAsync(RuntimeSession session, string name, long since, CancellationToken cancellationToken)
    {
        TimeSpan left = service.StartLimit - time.GetElapsedTime(since);
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task limit = Task.Delay(left > TimeSpan.Zero ? left : TimeSpan.Zero, time, over.Token);
        await Task.WhenAny(session.Ready, live.Completion, limit);
        await over.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
        if (session.Ready.IsCompletedSuccessfully)
        {
            return;
        }

        if (session.Ready.Exception?.InnerException is { } refused)
        {
            throw new BerthException(
                ErrorCode.RunFailed, $"An instance of {name} could not be initialized: {refused.Message}" + Said(),
                refused);
        }

        throw live.Completion.IsCompleted
            ? Ended(name, await live.Completion, "before it could take calls")
            : new BerthException(
                ErrorCode.RunFailed,
                $"An instance of {name} was not ready within {RunSentences.Span(service.StartLimit)}: it did not ask "
                + $"for an invocation at AWS_LAMBDA_RUNTIME_API ({LambdaEnvironment.RuntimeApi})." + Said());
    }

    private async Task AnswerAsync(string name, long since, CancellationToken cancellationToken)
    {
        TimeSpan pause = FirstPause;
        string? last = null;
        while (time.GetElapsedTime(since) < service.StartLimit)
        {
            if (live.Completion.IsCompleted)
            {
                throw Ended(name, await live.Completion, "before it could take calls");
            }

            last = await ProbeAsync(cancellationToken);
            if (last is null)
            {
                return;
            }

            Task delay = Task.Delay(pause, time, cancellationToken);
            await Task.WhenAny(delay, live.Completion);
            cancellationToken.ThrowIfCancellationRequested();
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }

        throw new BerthException(
            ErrorCode.RunFailed,
            $"An instance of {name} was not ready within {RunSentences.Span(service.StartLimit)}: {last}"
            + (service.ProbePath is null
                ? $" Its program has to listen on the port that PORT names ({service.Port}), on 0.0.0.0 or 127.0.0.1."
                : "")
            + Said());
    }

    /// <summary>Why a call got no answer from it.</summary>
    /// <param name="name">Of its function and revision, for messages.</param>
    public async Task<BerthException> ExplainAsync(string name, Exception error)
    {
        Task ended = live.Completion;
        await Task.WhenAny(ended, Task.Delay(EndPatience, time));
        return live.Completion is { IsCompleted: true } completed
            ? Ended(name, await completed, "while it had the call")
            : new BerthException(
                ErrorCode.RunFailed,
                $"The instance {Id} of {name} gave no whole answer: {error.Message.TrimEnd('.')}." + Said(), error);
    }

    public void Dispose()
    {
        Connections.Dispose();
        Session?.Dispose();
        Charge?.Dispose();
    }

    /// <summary>Null when it is ready, else why it isn't.</summary>
    private async Task<string?> ProbeAsync(CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(ProbeLimit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            if (service.ProbePath is null)
            {
                await using Stream connection = await live.ConnectAsync(service.Port, either.Token);
                return null;
            }

            using ServiceConnection probe = await Connections.TakeAsync(fresh: true, either.Token);
            await using CancellationTokenRegistration end = either.Token.UnsafeRegister(
                static state => ((ServiceConnection)state!).Dispose(), probe);
            await probe.WriteAsync(Encoding.ASCII.GetBytes(
                $"GET {service.ProbePath} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: berth-probe\r\n"
                + "Connection: close\r\n\r\n"));
            int status = (await probe.ReadHeadAsync("GET", upgrades: false)).Status;
            return status is >= 200 and < 400 ? null : $"GET {service.ProbePath} answered {status}.";
        }
        catch (Exception error) when (
            error is IOException or ObjectDisposedException && !either.IsCancellationRequested)
        {
            return (service.ProbePath is null ? "" : $"GET {service.ProbePath}: ") + error.Message.TrimEnd('.') + ".";
        }
        catch (Exception error) when (
            error is OperationCanceledException or IOException or ObjectDisposedException
            && !cancellationToken.IsCancellationRequested)
        {
            return $"It did not answer within {RunSentences.Span(ProbeLimit)}.";
        }
    }

    private BerthException Ended(string name, RunEnd end, string when)
    {
        string how = end.Reason == EndReason.Completed
            ? "it exited with 0"
            : end.ExitCode is { } code ? $"it exited with {code}"
            : end.Signal is { } signal ? $"signal {signal} ended it"
            : "it ended";
        string detail = end.Detail is null ? "" : " " + end.Detail;
        ErrorCode of = end.Reason switch
        {
            EndReason.OutOfMemory => ErrorCode.RunOutOfMemory,
            EndReason.EntryPointMissing => ErrorCode.RunEntryPointMissing,
            EndReason.PlatformFault => ErrorCode.NodeFault,
            _ => ErrorCode.RunFailed,
        };
        return new BerthException(of, $"An instance of {name} ended {when}: {how}.{detail}" + Said())
        {
            // It is not the program's fault, and another instance may have the call.
            RetryAfter = of == ErrorCode.NodeFault ? TimeSpan.FromSeconds(1) : null,
        };
    }

    private string Said() => live.Tail.TrimEnd() is { Length: > 0 } tail
        ? $" Its last words ('berth logs {Id}' shows all): {Tail(tail)}"
        : $" It wrote nothing ('berth logs {Id}').";

    private static string Tail(string text) => text.Length > 500 ? "…" + text[^500..] : text;
}
