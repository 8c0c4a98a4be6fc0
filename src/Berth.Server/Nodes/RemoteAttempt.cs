using System.Text.Json;
using System.Threading.Channels;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Server.Nodes;

/// <summary>
/// An attempt on another machine: one stream of the link. Whatever becomes of the link, it ends: what the node did not
/// report in time is a fault of the platform.
/// </summary>
internal sealed class RemoteAttempt : IAttempt
{
    /// <summary>A node ends what has passed its time by itself; one that does not is not waited for.</summary>
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(10);

    private readonly LinkExchange exchange;
    private readonly ITimer patience;
    private readonly string node;
    private readonly Action ended;
    private readonly RemoteConnections connections;
    private readonly FrameWriter writer;
    private readonly RemoteOutput streams;
    private readonly RemoteInput input;
    private readonly CreditGate inputCredit = new();
    private readonly Channel<ProgressReport> progress = Channel.CreateBounded<ProgressReport>(
        new BoundedChannelOptions(64) { FullMode = BoundedChannelFullMode.DropOldest });

    private readonly TaskCompletionSource<AttemptReport> completion =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task reading = Task.CompletedTask;
    private volatile AttemptFigures? figures;
    private int isEnded;

    /// <param name="ended">Called once, when it takes none of the node any more.</param>
    private RemoteAttempt(
        AttemptSpec spec, string node, LinkExchange exchange, RemoteConnections connections, TimeProvider time,
        Action ended)
    {
        Spec = spec;
        this.node = node;
        this.exchange = exchange;
        this.ended = ended;
        this.connections = connections;
        patience = time.CreateTimer(
            static state => ((LinkExchange)state!).Dispose(), exchange,
            spec.Timeout + spec.Grace + spec.Hold + Slack ?? Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        writer = exchange.Writer;
        streams = new RemoteOutput(
            n => writer.PostCredit(FrameKind.OutputCredit, n), n => writer.PostCredit(FrameKind.ErrorCredit, n));
        input = new RemoteInput(writer, inputCredit);
    }

    public AttemptSpec Spec { get; }

    public AttemptPreparation Preparation { get; private set; } = new(TimeSpan.Zero, TimeSpan.Zero, false);

    public Stream Input => input;

    public Stream Output => streams.Output;

    public Stream Error => streams.Error;

    public ChannelReader<ProgressReport> Progress => progress.Reader;

    public Task<AttemptReport> Completion => completion.Task;

    public long Written => streams.Arrived;

    /// <summary>Orders it and waits until the program runs, as <see cref="INode.StartAsync(AttemptSpec,
    /// CancellationToken)"/> says.</summary>
    public static async Task<RemoteAttempt> StartAsync(
        AttemptSpec spec, string node, LinkExchange exchange, RemoteConnections connections, TimeProvider time,
        Action ended, CancellationToken cancellationToken)
    {
        RemoteAttempt attempt = new(spec, node, exchange, connections, time, ended);
        try
        {
            await attempt.OrderAsync(cancellationToken);
            await attempt.WaitAsync(cancellationToken);
            attempt.reading = attempt.ReadAsync();
            return attempt;
        }
        catch (Exception fault)
        {
            attempt.Over();
            exchange.Dispose();
            await attempt.patience.DisposeAsync();
            if (fault is IOException or HttpRequestException)
            {
                throw Lost(node, fault);
            }

            throw;
        }
    }

    public void Stop(EndReason reason, TimeSpan grace)
    {
        if (Volatile.Read(ref isEnded) != 0)
        {
            return;
        }

        writer.Post(
            FrameKind.Stop,
            JsonSerializer.SerializeToUtf8Bytes(
                new StopOrder(reason.ToString(), (long)grace.TotalMilliseconds), LinkJson.Default.StopOrder));
        patience.Change(grace + Slack, Timeout.InfiniteTimeSpan);
    }

    public void Signal(int number) => writer.Post(FrameKind.Signal, new[] { (byte)number });

    public void Pause() => writer.Post(FrameKind.Pause, default);

    public void Resume() => writer.Post(FrameKind.Resume, default);

    public void Resize(TerminalSize size)
    {
        // Attempts with a terminal are not given to other machines.
    }

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        OpenAsync(port, cancellationToken);

    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) => Spec.Listen is null
        ? throw new InvalidOperationException($"Attempt {Spec.Id} was not ordered to listen.")
        : OpenAsync(null, cancellationToken);

    /// <remarks>As the node told last, which it does of instances.</remarks>
    public AttemptFigures? Measure() => Volatile.Read(ref isEnded) == 0 ? figures : null;

    public Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<ProcessView>>([]);

    public Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken) =>
        throw NotThere("programs beside");

    public async ValueTask DisposeAsync()
    {
        if (!completion.Task.IsCompleted)
        {
            Stop(EndReason.Canceled, TimeSpan.Zero);
            await completion.Task;
        }

        exchange.Dispose();
        await reading;
        await patience.DisposeAsync();
        writer.Dispose();
        await streams.DisposeAsync();
    }

    /// <summary>What every attempt on a lost node is told as: another try can help.</summary>
    public static BerthException Lost(string node, Exception? cause = null) => new(
        ErrorCode.NodeFault, $"Node '{node}' was lost: nothing is known of what it had under way. Send it again.",
        cause)
    {
        RetryAfter = TimeSpan.FromSeconds(1),
    };

    private async Task<Stream> OpenAsync(int? port, CancellationToken cancellationToken) =>
        Volatile.Read(ref isEnded) == 0
            ? await connections.OpenAsync(new ConnectOrder(Spec.Id, port), cancellationToken)
            : throw new IOException("The program has ended.");

    private BerthException NotThere(string what) => new(
        ErrorCode.InvalidRequest, $"There are no {what} attempt {Spec.Id}, which is on the node '{node}'.");

    /// <summary>What there is of the input travels with the order: the node reads it once the program runs.</summary>
    private async Task OrderAsync(CancellationToken cancellationToken)
    {
        List<(FrameKind Kind, ReadOnlyMemory<byte> Payload)> frames =
        [
            (FrameKind.Order,
                JsonSerializer.SerializeToUtf8Bytes(AttemptOrder.Of(Spec), LinkJson.Default.AttemptOrder)),
        ];
        if (Spec.Ahead?.Peek(LinkProtocol.MaxData) is { } ahead)
        {
            if (!ahead.Bytes.IsEmpty)
            {
                // Of a whole window there is room at once.
                await inputCredit.TakeAsync(ahead.Bytes.Length, cancellationToken);
                frames.Add((FrameKind.Input, ahead.Bytes));
            }

            if (ahead.IsWhole)
            {
                frames.Add((FrameKind.InputEnd, ReadOnlyMemory<byte>.Empty));
            }

            input.Sent(ahead);
        }

        await writer.SendAsync(frames, cancellationToken);
    }

    private async Task WaitAsync(CancellationToken cancellationToken)
    {
        FrameReader frames = await exchange.ReaderAsync(cancellationToken);
        Frame started = NodeAnswer.Require(await frames.ReadAsync(cancellationToken), FrameKind.Started);
        Preparation = LinkWords.Read(started.Read(LinkJson.Default.StartedReport), node);
    }

    private async Task ReadAsync()
    {
        bool isWhole = false;
        try
        {
            FrameReader frames = await exchange.ReaderAsync(CancellationToken.None);
            while (await frames.ReadAsync(CancellationToken.None) is { } frame)
            {
                Take(frame);
            }

            isWhole = true;
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException
            or ObjectDisposedException or ArgumentException)
        {
            // The report, or that there is none, tells it.
            isWhole = false;
        }

        Close(isWhole);
    }

    /// <summary>An end without a report is a fault, whoever made it.</summary>
    private void Close(bool isWhole)
    {
        Over();
        completion.TrySetResult(new AttemptReport(
            EndReason.PlatformFault, null, null, Lost(node).Message, RunUsage.None, TimeSpan.Zero)
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        });
        progress.Writer.TryComplete();
        inputCredit.Close();
        streams.End();
        if (isWhole)
        {
            exchange.Complete();
        }
        else
        {
            exchange.Dispose();
        }
    }

    private void Take(Frame frame)
    {
        if (streams.TryTake(frame))
        {
            return;
        }

        switch (frame.Kind)
        {
            case FrameKind.InputCredit:
                inputCredit.Add(LinkFrame.CreditOf(frame.Payload));
                break;
            case FrameKind.InputClosed:
                inputCredit.Close();
                break;
            case FrameKind.Progress:
                ProgressLine line = frame.Read(LinkJson.Default.ProgressLine);
                progress.Writer.TryWrite(new ProgressReport(
                    Math.Clamp(line.Percent, 0, 100),
                    line.Message is { Length: > 200 } tooLong ? tooLong[..200] : line.Message));
                break;
            case FrameKind.Figures:
                figures = LinkWords.Read(frame.Read(LinkJson.Default.FiguresReport));
                break;
            case FrameKind.Report:
                AttemptReport report = LinkWords.Read(frame.Read(LinkJson.Default.EndReport));
                Over();
                inputCredit.Close();
                completion.TrySetResult(report);
                break;
            default:
                throw new LinkException($"The node sent a frame {frame.Kind} about an attempt.");
        }
    }

    private void Over()
    {
        if (Interlocked.Exchange(ref isEnded, 1) == 0)
        {
            ended();
        }
    }
}
