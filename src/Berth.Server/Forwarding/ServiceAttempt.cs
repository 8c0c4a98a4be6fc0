using System.IO.Pipelines;
using System.Net.Http.Headers;
using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Instances;

namespace Berth.Server.Forwarding;

/// <summary>
/// One try of a task whose program is an instance that other calls use too: its input is the request's body, its output
/// the body of the answer. What it ends is the exchange, never the instance, so that nothing of the sandbox is its own.
/// </summary>
internal sealed class ServiceAttempt : IAttempt
{
    private const int MaxTypeLength = 255;

    private readonly string method;
    private readonly InstancePool pool;
    private readonly Instance instance;
    private readonly ServiceConnection connection;
    private readonly TimeProvider time;
    private readonly Pipe input = new();
    private readonly Pipe output = new();
    private readonly Channel<ProgressReport> progress = Channel.CreateUnbounded<ProgressReport>();
    private readonly CancellationTokenSource stopped = new();
    private readonly ITimer deadline;
    private readonly Lock gate = new();
    private EndReason? stopReason;
    private AnswerHead? answer;
    private bool isWhole;
    private long sent;
    private long received;

    /// <param name="method">Of the request, whose head the connection has.</param>
    /// <param name="instance">Entered; left at the end.</param>
    /// <param name="connection">This object's own from now on.</param>
    public ServiceAttempt(
        AttemptSpec spec, string method, InstancePool pool, Instance instance, ServiceConnection connection,
        AttemptPreparation preparation, TimeProvider time)
    {
        Spec = spec;
        Preparation = preparation;
        this.method = method;
        this.pool = pool;
        this.instance = instance;
        this.connection = connection;
        this.time = time;
        progress.Writer.Complete();
        Input = input.Writer.AsStream();
        Output = output.Reader.AsStream();
        deadline = time.CreateTimer(
            static state => ((ServiceAttempt)state!).Stop(EndReason.TimedOut, TimeSpan.Zero), this,
            spec.Timeout ?? Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
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
        connection.Dispose();
    }

    public void Signal(int number) => throw NotItsOwn("signals");

    public void Pause() => throw NotItsOwn("pauses");

    public void Resume() => throw NotItsOwn("pauses");

    public void Resize(TerminalSize size) => throw NotItsOwn("a terminal");

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        throw NotItsOwn("further connections");

    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) => throw NotItsOwn("further connections");

    public long Written => Interlocked.Read(ref received);

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
        using CancellationTokenSource answered = CancellationTokenSource.CreateLinkedTokenSource(stopped.Token);
        Task<bool> sending = SendAsync(answered.Token);
        Exception? fault = null;
        try
        {
            await ReceiveAsync();
        }
        catch (Exception error) when (
            error is IOException or ObjectDisposedException or OperationCanceledException)
        {
            fault = error;
        }

        await output.Writer.CompleteAsync();
        if (!sending.IsCompleted)
        {
            // A program may answer before it has read all, and never read the rest.
            await answered.CancelAsync();
            connection.Dispose();
        }

        bool reusable = await sending && fault is null && answer!.KeepsConnection && connection.IsAtEnd;
        await deadline.DisposeAsync();
        AttemptReport report = await ReportAsync(fault, time.GetElapsedTime(since));
        if (reusable)
        {
            instance.Connections.GiveBack(connection);
        }
        else
        {
            connection.Dispose();
        }

        instance.Live.Count(sent, received);
        pool.Leave(instance);
        return report;
    }

    /// <returns>Whether all was sent.</returns>
    private async Task<bool> SendAsync(CancellationToken cancellationToken)
    {
        try
        {
            await connection.WriteAsync(connection.Head.WrittenMemory);
            while (true)
            {
                ReadResult read = await input.Reader.ReadAsync(cancellationToken);
                foreach (ReadOnlyMemory<byte> piece in read.Buffer)
                {
                    await connection.WriteAsync(piece);
                    sent += piece.Length;
                }

                input.Reader.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    return true;
                }
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The answer says what happened.
            return false;
        }
        finally
        {
            await input.Reader.CompleteAsync();
        }
    }

    private async Task ReceiveAsync()
    {
        answer = await connection.ReadHeadAsync(method, upgrades: false);
        ReadOnlyMemory<byte> part;
        while (!(part = await connection.ReadAsync(answer)).IsEmpty)
        {
            await output.Writer.WriteAsync(part, stopped.Token);
            received += part.Length;
        }

        lock (gate)
        {
            stopped.Token.ThrowIfCancellationRequested();
            isWhole = true;
        }
    }

    private async Task<AttemptReport> ReportAsync(Exception? fault, TimeSpan took)
    {
        RunUsage usage = RunUsage.None with { BytesIn = sent, BytesOut = received };
        if (fault is null)
        {
            ServiceAnswer given = new(answer!.Status, TypeOf(answer));
            return given.IsSuccess
                ? new AttemptReport(EndReason.Completed, null, null, null, usage, took, given)
                : new AttemptReport(
                    EndReason.BadStatus, null, null, $"It answered {given.Status}.", usage, took, given,
                    given.IsPassing ? RetryAfter.Read(FieldOf(answer, "Retry-After"), time.GetUtcNow()) : null);
        }

        if (stopReason is { } reason)
        {
            string? detail = reason == EndReason.TimedOut
                ? $"The instance {instance.Id} gave no whole answer within {RunSentences.Span(took)}: raise the "
                    + "timeout, or see 'berth logs' for what it does."
                : null;
            return new AttemptReport(reason, null, null, detail, usage, took);
        }

        BerthException why = await instance.ExplainAsync(pool.Name, fault);
        return new AttemptReport(StartFault.ReasonOf(why.Code), null, null, why.Message, usage, took);
    }

    private static string? TypeOf(AnswerHead answer) =>
        FieldOf(answer, "Content-Type") is { Length: <= MaxTypeLength } type && type.All(char.IsAscii)
        && MediaTypeHeaderValue.TryParse(type, out _)
            ? type
            : null;

    private static string? FieldOf(AnswerHead answer, string name) =>
        answer.Fields.LastOrDefault(f => f.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).Value;

    private BerthException NotItsOwn(string what) => new(
        ErrorCode.InvalidRequest,
        $"Run {Spec.Run} is a call that instance {instance.Id} answers beside others: there are no {what} for it.");
}
