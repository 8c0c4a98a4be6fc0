using System.Buffers;
using System.Text.Json;
using System.Threading.Channels;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Server.Nodes;

/// <summary>
/// A container's program on another machine. It goes on where the link breaks, and with it this: over the node's next
/// link both streams go on where they were. It ends with the program, where the node has it no more, or when it is
/// given up.
/// </summary>
internal sealed class RemoteContainer : IAttempt
{
    private readonly NodePaths nodes;
    private readonly RemoteOutput streams;
    private readonly RetainedBytes input = new(LinkProtocol.Window);
    private readonly RetainedInput inputStream;
    private readonly Channel<ProgressReport> progress = Channel.CreateBounded<ProgressReport>(1);
    private readonly TaskCompletionSource<AttemptReport> completion =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly CancellationTokenSource over = new();
    private readonly Lock gate = new();
    private readonly StreamPosition outputPosition = new();
    private readonly StreamPosition errorPosition = new();
    private Task following = Task.CompletedTask;

    /// <summary>Null while there is no link.</summary>
    private FrameWriter? writer;
    private volatile AttemptFigures? figures;
    private AttemptReport? report;
    private StopOrder? stopAsked;
    private LinkExchange? current;
    private DateTimeOffset? lostAt;
    private bool wasHere;
    private bool isLeft;

    private RemoteContainer(AttemptSpec spec, NodePaths nodes)
    {
        Spec = spec;
        this.nodes = nodes;
        streams = new RemoteOutput(
            n => Say(FrameKind.OutputCredit, outputPosition, n), n => Say(FrameKind.ErrorCredit, errorPosition, n));
        inputStream = new RetainedInput(input);
        progress.Writer.TryComplete();
    }

    public AttemptSpec Spec { get; }

    /// <summary>Name of its node.</summary>
    public string Node => nodes.Name;

    private Action<RemoteContainer>? Joined { get; init; }

    /// <summary>Since when nothing is known of it; null while it is linked, and once it has ended.</summary>
    public DateTimeOffset? LostAt
    {
        get
        {
            lock (gate)
            {
                return lostAt;
            }
        }
    }

    public AttemptPreparation Preparation { get; private set; } = new(TimeSpan.Zero, TimeSpan.Zero, false);

    public Stream Input => inputStream;

    public Stream Output => streams.Output;

    public Stream Error => streams.Error;

    public ChannelReader<ProgressReport> Progress => progress.Reader;

    public Task<AttemptReport> Completion => completion.Task;

    /// <summary>Completes when it has ended and what follows is decided.</summary>
    public TaskCompletionSource Disposed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long Written => streams.Arrived;

    /// <summary>Orders it and returns once the program runs. Throws as <see cref="INode.StartAsync(AttemptSpec,
    /// CancellationToken)"/>.</summary>
    public static async Task<RemoteContainer> StartAsync(
        AttemptSpec spec, NodePaths nodes, NodeLink link, CancellationToken cancellationToken)
    {
        RemoteContainer container = new(spec, nodes) { wasHere = true };
        LinkExchange? exchange = null;
        try
        {
            exchange = link.Open(LinkProtocol.ContainerPath);
            await exchange.Writer.SendAsync(
                FrameKind.Order, AttemptOrder.Of(spec), LinkJson.Default.AttemptOrder, cancellationToken);
            FrameReader frames = await exchange.ReaderAsync(cancellationToken);
            StartedReport started = NodeAnswer.Require(
                await frames.ReadAsync(cancellationToken), FrameKind.Started).Read(LinkJson.Default.StartedReport);
            container.Preparation = LinkWords.Read(started, nodes.Name);
            container.writer = exchange.Writer;
            container.current = exchange;
            container.following = container.FollowAsync(exchange, frames, link);
            return container;
        }
        catch (Exception fault)
        {
            exchange?.Dispose();
            if (fault is IOException or HttpRequestException)
            {
                throw RemoteAttempt.Lost(nodes.Name, fault);
            }

            if (fault is BerthException { Code: ErrorCode.Conflict or ErrorCode.NodeFault } refusal)
            {
                // Its machine's: which that is only the server knows.
                throw new BerthException(refusal.Code, $"Node '{nodes.Name}': {refusal.Message}", refusal)
                {
                    RetryAfter = refusal.RetryAfter,
                };
            }

            throw;
        }
    }

    /// <summary>One that a server before this one left there.</summary>
    /// <param name="joined">Called once, when it is reached first.</param>
    public static RemoteContainer Adopt(AttemptSpec spec, NodePaths nodes, Action<RemoteContainer> joined)
    {
        RemoteContainer container = new(spec, nodes) { lostAt = nodes.Time.GetUtcNow(), Joined = joined };
        container.Preparation = new AttemptPreparation(TimeSpan.Zero, TimeSpan.Zero, false, Node: nodes.Name);
        container.following = container.FollowAsync(null, null, null);
        return container;
    }

    public void Stop(EndReason reason, TimeSpan grace)
    {
        StopOrder order = new(reason.ToString(), (long)grace.TotalMilliseconds);
        lock (gate)
        {
            // Said again where the link breaks before it is heard.
            stopAsked = order;
            writer?.Post(FrameKind.Stop, JsonSerializer.SerializeToUtf8Bytes(order, LinkJson.Default.StopOrder));
        }
    }

    public void Signal(int number) => Post(FrameKind.Signal, new[] { (byte)number });

    public void Pause() => Post(FrameKind.Pause, default);

    public void Resume() => Post(FrameKind.Resume, default);

    public void Resize(TerminalSize size) => Post(
        FrameKind.Resize,
        JsonSerializer.SerializeToUtf8Bytes(
            new TerminalOrder(size.Rows, size.Columns), ContainerLinkJson.Default.TerminalOrder));

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        throw new BerthException(
            ErrorCode.InvalidRequest, $"Ports of a container on the node '{Node}' are reached in its network.");

    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) =>
        throw new InvalidOperationException("A container listens for itself.");

    /// <remarks>As the node told last.</remarks>
    public AttemptFigures? Measure() => completion.Task.IsCompleted ? null : figures;

    public async Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken)
    {
        RequireReached();
        return completion.Task.IsCompleted
            ? []
            : await NodeQuestion.ProcessesAsync(nodes.Link() ?? throw Unreached(), Spec.Id, cancellationToken);
    }

    public async Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken)
    {
        RequireReached();
        return await RemoteExecution.StartAsync(
            spec, Spec.Id, Node, nodes.Link() ?? throw Unreached(), cancellationToken);
    }

    /// <summary>Throws <c>NodeFault</c> while nothing is known of it.</summary>
    public void RequireReached()
    {
        if (LostAt is not null)
        {
            throw Unreached();
        }
    }

    /// <summary>Nothing more is expected of it: to this server it has ended. Should its node come back with it, it is
    /// ended there.</summary>
    public void GiveUp(string detail) => End(Fault(detail));

    /// <summary>The server stops; the program goes on. What was on its way is still read.</summary>
    public async Task LeaveAsync()
    {
        LinkExchange? last;
        lock (gate)
        {
            isLeft = true;
            last = current;
        }

        if (last is not null)
        {
            last.EndRequest();
            using CancellationTokenSource done = new();
            await Task.WhenAny(following, Task.Delay(LinkProtocol.ClosingLimit, nodes.Time, done.Token));
            await done.CancelAsync();
        }

        await over.CancelAsync();
        await following;
        streams.End();
    }

    public async ValueTask DisposeAsync()
    {
        if (!completion.Task.IsCompleted)
        {
            Stop(EndReason.Canceled, TimeSpan.Zero);
            await completion.Task;
        }

        await over.CancelAsync();
        await following;
        await streams.DisposeAsync();
        over.Dispose();
        Disposed.TrySetResult();
    }

    /// <summary>Follows it from link to link until it has ended.</summary>
    private async Task FollowAsync(LinkExchange? exchange, FrameReader? frames, NodeLink? link)
    {
        try
        {
            while (!over.IsCancellationRequested)
            {
                if (exchange is not null && frames is not null && await ServeAsync(exchange, frames))
                {
                    End(report!);
                    return;
                }

                if (isLeft)
                {
                    return;
                }

                Lose();
                link = await nodes.NextAsync(link, over.Token);
                if (link is null)
                {
                    End(Fault($"Node '{Node}' was removed, and what it had with it."));
                    return;
                }

                (exchange, frames) = await RejoinAsync(link);
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            // Given up, or left.
        }
    }

    private async Task<(LinkExchange? Exchange, FrameReader? Frames)> RejoinAsync(NodeLink link)
    {
        LinkExchange? exchange = null;
        try
        {
            exchange = link.Open(LinkProtocol.ContainerPath);
            bool isFresh = !wasHere;
            lock (gate)
            {
                // In one breath with the places of the streams: what is read from now on is said after it.
                exchange.Writer.Post(
                    FrameKind.Rejoin,
                    JsonSerializer.SerializeToUtf8Bytes(
                        isFresh
                            ? new RejoinOrder(Spec.Id, null, null)
                            : new RejoinOrder(
                                Spec.Id, outputPosition.Place(streams.Output.Arrived),
                                errorPosition.Place(streams.Error.Arrived)),
                        ContainerLinkJson.Default.RejoinOrder));
                writer = exchange.Writer;
                current = exchange;
            }

            FrameReader frames = await exchange.ReaderAsync(over.Token);
            RejoinedReport there = NodeAnswer.Require(await frames.ReadAsync(over.Token), FrameKind.Rejoined)
                .Read(ContainerLinkJson.Default.RejoinedReport);
            Take(there, isFresh);
            return (exchange, frames);
        }
        catch (BerthException refusal)
        {
            exchange?.Dispose();
            End(Fault($"Node '{Node}': {refusal.Message}"));
            throw new OperationCanceledException(over.Token);
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or InvalidOperationException
            || (gone is OperationCanceledException && !over.IsCancellationRequested))
        {
            exchange?.Dispose();
            return (null, null);
        }
    }

    /// <summary>Both ends know now where each stream goes on.</summary>
    private void Take(RejoinedReport there, bool isFresh)
    {
        StreamPlace place = there.Input ?? throw new LinkException("The node did not say where the input is.");
        if (isFresh)
        {
            input.Begin(place);
        }
        else
        {
            input.Resume(place);
        }

        lock (gate)
        {
            wasHere = true;
            outputPosition.GoOn(there.OutputAt, streams.Output.Arrived);
            errorPosition.GoOn(there.ErrorAt, streams.Error.Arrived);
            lostAt = null;
            if (stopAsked is { } stop)
            {
                writer?.Post(FrameKind.Stop, JsonSerializer.SerializeToUtf8Bytes(stop, LinkJson.Default.StopOrder));
            }
        }

        if (isFresh)
        {
            Joined?.Invoke(this);
        }
    }

    /// <summary>Reads one stream of the link to its end, and writes what there is to write.</summary>
    /// <returns>Whether all has come that will.</returns>
    private async Task<bool> ServeAsync(LinkExchange exchange, FrameReader frames)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(over.Token);
        Task feeding = FeedAsync(exchange.Writer, stop.Token);
        bool isWhole = false;
        try
        {
            while (!isWhole && await frames.ReadAsync(over.Token) is { } frame)
            {
                Take(frame);
                isWhole = report is not null && streams.HasEnded;
            }
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException
            or ObjectDisposedException or ArgumentException)
        {
            isWhole = false;
        }

        lock (gate)
        {
            writer = null;
            current = null;
        }

        await stop.CancelAsync();
        await feeding;
        if (isWhole)
        {
            // By that the node knows that it need not keep it.
            exchange.EndRequest();
            await DrainAsync(frames);
            exchange.Complete();
        }

        exchange.Dispose();
        return isWhole;
    }

    private async Task DrainAsync(FrameReader frames)
    {
        using CancellationTokenSource limit = new(LinkProtocol.ClosingLimit, nodes.Time);
        try
        {
            while (await frames.ReadAsync(limit.Token) is not null)
            {
                // Figures that were on their way.
            }
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException)
        {
            // The node hears of it when it comes back.
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
                input.Confirm(LinkFrame.CreditOf(frame.Payload));
                break;
            case FrameKind.InputClosed:
                input.Close();
                break;
            case FrameKind.Figures:
                figures = LinkWords.Read(frame.Read(LinkJson.Default.FiguresReport));
                break;
            case FrameKind.Report:
                report = LinkWords.Read(frame.Read(LinkJson.Default.EndReport));
                break;
            default:
                throw new LinkException($"The node sent a frame {frame.Kind} about a container.");
        }
    }

    private async Task FeedAsync(FrameWriter target, CancellationToken stop)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(LinkProtocol.MaxData);
        try
        {
            while (await input.TakeAsync(buffer.AsMemory(0, LinkProtocol.MaxData), stop) is > 0 and int count)
            {
                await target.SendAsync(FrameKind.Input, buffer.AsMemory(0, count), stop);
            }

            await target.SendAsync(FrameKind.InputEnd, stop);
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException
            or InvalidOperationException)
        {
            // It is sent again over the next link.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Lose()
    {
        lock (gate)
        {
            writer = null;
            lostAt ??= nodes.Time.GetUtcNow();
        }
    }

    private void End(AttemptReport end)
    {
        if (completion.TrySetResult(end))
        {
            input.Close();
            streams.End();
            over.Cancel();
        }
    }

    private void Post(FrameKind kind, ReadOnlyMemory<byte> payload)
    {
        lock (gate)
        {
            writer?.Post(kind, payload);
        }
    }

    private void Say(FrameKind kind, StreamPosition stream, int bytes)
    {
        lock (gate)
        {
            stream.Said += bytes;
            writer?.PostCredit(kind, bytes);
        }
    }

    private static AttemptReport Fault(string detail) => new(
        EndReason.PlatformFault, null, null, detail, RunUsage.None, TimeSpan.Zero);

    private BerthException Unreached() => new(
        ErrorCode.NodeFault,
        $"Node '{Node}' can't be reached since {LostAt ?? nodes.Time.GetUtcNow():u}, and the container is there: try "
        + "again when 'berth node ls' has it as ready. To have done with it now, remove it with force ('berth rm -f'); "
        + "should the node come back, it is ended there.")
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };
}
