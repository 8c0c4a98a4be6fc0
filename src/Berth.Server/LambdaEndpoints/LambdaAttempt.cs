using System.Globalization;
using System.IO.Pipelines;
using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Calls;
using Berth.Server.Forwarding;
using Berth.Server.Lambda;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.LambdaEndpoints;

/// <summary>
/// One try of a task whose program is an instance with the lambda contract: its input becomes the event, its output is
/// what the handler answered. An instance has one call at a time, so that ending a try ends its instance.
/// </summary>
internal sealed class LambdaAttempt : IAttempt
{
    /// <summary>What callers who wait for a handler that failed are told.</summary>
    private const int FailedStatus = StatusCodes.Status502BadGateway;

    private const string Json = "application/json";
    private const int MaxTypeLength = 255;

    private readonly ServiceCall kept;
    private readonly LambdaSpec contract;
    private readonly LambdaCall call;
    private readonly string name;
    private readonly string instance;
    private readonly ByteSize limit;
    private readonly TimeProvider time;
    private readonly Pipe input = new();
    private readonly Pipe output = new();
    private readonly Channel<ProgressReport> progress = Channel.CreateUnbounded<ProgressReport>();
    private readonly CancellationTokenSource stopped = new();
    private readonly Lock gate = new();
    private EndReason? stopReason;
    private bool isWhole;
    private long received;
    private long sent;

    /// <param name="call">This object's own from now on.</param>
    /// <param name="name">Of function and revision, for messages.</param>
    /// <param name="limit">Of an event.</param>
    public LambdaAttempt(
        AttemptSpec spec, ServiceCall kept, LambdaSpec contract, LambdaCall call, string name, ByteSize limit,
        AttemptPreparation preparation, TimeProvider time)
    {
        Spec = spec;
        Preparation = preparation;
        this.kept = kept;
        this.contract = contract;
        this.call = call;
        this.name = name;
        this.limit = limit;
        this.time = time;
        instance = call.Instance.Id.Text;
        progress.Writer.Complete();
        Input = input.Writer.AsStream();
        Output = output.Reader.AsStream();
        Completion = RunAsync();
    }

    public AttemptSpec Spec { get; }

    public AttemptPreparation Preparation { get; }

    public Stream Input { get; }

    public Stream Output { get; }

    /// <summary>Empty: what the program says is in its instance's log.</summary>
    public Stream Error => Stream.Null;

    public ChannelReader<ProgressReport> Progress => progress.Reader;

    public Task<AttemptReport> Completion { get; }

    public long Written => Interlocked.Read(ref sent);

    public void Stop(EndReason reason, TimeSpan grace)
    {
        lock (gate)
        {
            if (stopReason is not null || isWhole)
            {
                return;
            }

            stopReason = reason;
        }

        stopped.Cancel();
        call.Abandon();
    }

    public void Signal(int number) => throw NotItsOwn("signals");

    public void Pause() => throw NotItsOwn("pauses");

    public void Resume() => throw NotItsOwn("pauses");

    public void Resize(TerminalSize size) => throw NotItsOwn("a terminal");

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        throw NotItsOwn("further connections");

    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) => throw NotItsOwn("further connections");

    public AttemptFigures? Measure() => null;

    public Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<ProcessView>>([]);

    public Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken) =>
        throw NotItsOwn("further programs");

    public async ValueTask DisposeAsync()
    {
        Stop(EndReason.PlatformFault, TimeSpan.Zero);
        await Completion;
        stopped.Dispose();
    }

    private async Task<AttemptReport> RunAsync()
    {
        long since = time.GetTimestamp();
        await Task.Yield();
        RunUsage Usage() => RunUsage.None with { BytesIn = received, BytesOut = sent };
        try
        {
            await using (call)
            {
                (ServiceAnswer answer, string? detail, TimeSpan? retryAfter) = await ExchangeAsync();
                lock (gate)
                {
                    stopped.Token.ThrowIfCancellationRequested();
                    isWhole = true;
                }

                return new AttemptReport(
                    answer.IsSuccess ? EndReason.Completed : EndReason.BadStatus, null, null, detail, Usage(),
                    time.GetElapsedTime(since), answer, retryAfter);
            }
        }
        catch (Exception error) when (error is BerthException or OperationCanceledException or IOException)
        {
            (EndReason reason, string? detail) = ReasonOf(error);
            return new AttemptReport(reason, null, null, detail, Usage(), time.GetElapsedTime(since));
        }
        finally
        {
            await input.Reader.CompleteAsync();
            await output.Writer.CompleteAsync();
        }
    }

    private (EndReason Reason, string? Detail) ReasonOf(Exception error) => error switch
    {
        _ when stopReason is { } asked => (asked, null),
        // It had the call's time and no instance: that says nothing about the program.
        BerthException { Code: ErrorCode.RunTimedOut, RetryAfter: not null } late =>
            (EndReason.PlatformFault, late.Message),
        BerthException { Code: ErrorCode.RunTimedOut } late => (EndReason.TimedOut, late.Message),
        BerthException { Code: ErrorCode.BodyTooLarge } large => (EndReason.NotRunnable, large.Message),
        BerthException refused => (StartFault.ReasonOf(refused.Code), refused.Message),
        _ => (EndReason.PlatformFault, error.Message),
    };

    private async Task<(ServiceAnswer Answer, string? Detail, TimeSpan? RetryAfter)> ExchangeAsync()
    {
        byte[] body = await ReadAsync();
        bool isHttp = contract.Events == LambdaEvents.Http && !kept.IsEvent;
        ReadOnlyMemory<byte> payload = isHttp
            ? HttpEvent.Write(EventRequest.Of(kept, body.Length), body, kept.Function, call.Id, time.GetUtcNow())
            : LambdaBody.OrEmptyObject(body);
        LambdaBody.Check(payload.Length, limit);
        LambdaAnswer answer = await call.InvokeAsync(new LambdaEvent(
            payload, KeptEvent.ClientContextOf(kept), KeptEvent.TraceOf(kept, Spec.Run)));
        switch (answer)
        {
            case LambdaAnswer.Whole whole when !isHttp:
                await WriteAsync(whole.Body);
                return (new ServiceAnswer(StatusCodes.Status200OK, TypeOf(whole.ContentType ?? Json)), null, null);
            case LambdaAnswer.Streamed streamed when !isHttp:
                await StreamAsync(streamed.Stream);
                return (new ServiceAnswer(StatusCodes.Status200OK, TypeOf(streamed.ContentType)), null, null);
            case LambdaAnswer.Failed failed:
                await WriteAsync(failed.Document);
                return (new ServiceAnswer(FailedStatus, Json), $"{failed.Type}: {failed.Message}", null);
            default:
                return await DescribedAsync(answer);
        }
    }

    /// <summary>The answer that the function describes, written where no connection is.</summary>
    private async Task<(ServiceAnswer Answer, string? Detail, TimeSpan? RetryAfter)> DescribedAsync(LambdaAnswer answer)
    {
        DefaultHttpContext described = new() { Request = { Method = kept.Method }, RequestAborted = stopped.Token };
        if (answer is LambdaAnswer.Streamed { Stream: { } stream } streamed)
        {
            if (HttpEventAnswer.HasPrelude(streamed.ContentType))
            {
                await HttpEventAnswer.ReadPreludeAsync(described, name, call, stream);
            }

            await StreamAsync(stream);
        }
        else
        {
            using MemoryStream body = new();
            described.Response.Body = body;
            await HttpEventAnswer.WriteAsync(described, name, (LambdaAnswer.Whole)answer);
            await WriteAsync(body.GetBuffer().AsMemory(0, (int)body.Length));
        }

        ServiceAnswer told = new(described.Response.StatusCode, TypeOf(described.Response.ContentType));
        return told.IsSuccess
            ? (told, null, null)
            : (told, string.Create(CultureInfo.InvariantCulture, $"It answered {told.Status}."),
                told.IsPassing
                    ? RetryAfter.Read(described.Response.Headers.RetryAfter, time.GetUtcNow())
                    : null);
    }

    private async Task<byte[]> ReadAsync()
    {
        using MemoryStream body = new();
        while (true)
        {
            ReadResult read = await input.Reader.ReadAsync(stopped.Token);
            foreach (ReadOnlyMemory<byte> piece in read.Buffer)
            {
                body.Write(piece.Span);
            }

            input.Reader.AdvanceTo(read.Buffer.End);
            LambdaBody.Check(body.Length, limit);
            if (read.IsCompleted)
            {
                received = body.Length;
                return body.ToArray();
            }
        }
    }

    private async Task StreamAsync(AnswerStream stream)
    {
        while (true)
        {
            ReadResult read = await call.ReadAsync(stream);
            try
            {
                foreach (ReadOnlyMemory<byte> piece in read.Buffer)
                {
                    await WriteAsync(piece);
                }
            }
            finally
            {
                stream.Body.AdvanceTo(read.Buffer.End);
            }

            if (read.IsCompleted)
            {
                stream.Finish();
                return;
            }
        }
    }

    private async Task WriteAsync(ReadOnlyMemory<byte> piece)
    {
        if (!piece.IsEmpty)
        {
            await output.Writer.WriteAsync(piece, stopped.Token);
            Interlocked.Add(ref sent, piece.Length);
        }
    }

    private static string? TypeOf(string? type) =>
        type is { Length: <= MaxTypeLength } && type.All(char.IsAscii)
        && System.Net.Http.Headers.MediaTypeHeaderValue.TryParse(type, out _)
            ? type
            : null;

    private BerthException NotItsOwn(string what) => new(
        ErrorCode.InvalidRequest,
        $"Run {Spec.Run} is a call that instance {instance} answers beside others: there are no {what} for it.");
}
