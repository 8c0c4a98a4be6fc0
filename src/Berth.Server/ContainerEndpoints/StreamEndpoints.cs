using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Containers;
using Berth.Server.Hosting;
using Berth.Server.Nodes;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Attach and exec: a program's streams over a WebSocket.</summary>
internal sealed class StreamEndpoints(ContainerManager containers, ServerLifetime lifetime)
{
    /// <summary>Gets what a container's program writes from now on, and passes on what it is sent. Attached to one that
    /// does not run yet, it waits for its start.</summary>
    public async Task AttachAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        ContainerEntry entry = containers.Find(ContainerEndpoints.ReferenceOf(context));
        using ContainerBroadcast.Listener listener = entry.Broadcast.Listen(output: true, error: true);
        using StreamSocket socket = await AcceptAsync(context);
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted, lifetime.Stopping);
        await socket.SendAsync(new StreamMessage("started"), over.Token);
        Task feeding = FeedAsync(socket, entry, over);
        try
        {
            await foreach (ProgramOutput piece in listener.Reader.ReadAllAsync(over.Token))
            {
                await socket.SendAsync(piece, over.Token);
            }

            ContainerExit? exit = entry.Record.Exit;
            await socket.SendAsync(new StreamMessage("exit", ExitCode: exit?.Code, Message: exit?.Detail), over.Token);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The other side has gone or detached, or the server stops: the program goes on.
        }

        await socket.CloseAsync(feeding);
    }

    /// <summary>Runs another program in a container. Its end is the other side's, unless that detaches it, at once or
    /// later.</summary>
    public async Task ExecAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        ContainerEntry entry = containers.Find(ContainerEndpoints.ReferenceOf(context));
        using StreamSocket socket = await AcceptAsync(context);
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted, lifetime.Stopping);
        Task feeding = Task.CompletedTask;
        try
        {
            Received? first = await socket.ReceiveAsync();
            if (first is null)
            {
                return;
            }

            if (first.Value.Message is not { Type: "start", Exec: { } exec } start)
            {
                throw new BerthException(ErrorCode.InvalidRequest, "The first message must be 'start', with 'exec'.");
            }

            await RunAsync(
                socket, entry, exec, SizeOf(start) ?? TerminalSize.Usual, began => feeding = began, over);
        }
        catch (BerthException refusal)
        {
            await TrySendAsync(socket, refusal);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The other side has gone, or the server stops.
        }

        await socket.CloseAsync(feeding);
    }

    /// <param name="feeding">Told who reads the other side's messages from now on.</param>
    private async Task RunAsync(
        StreamSocket socket, ContainerEntry entry, ExecRequest exec, TerminalSize size, Action<Task> feeding,
        CancellationTokenSource over)
    {
        IExecution execution = await containers.ExecuteAsync(entry, ExecOrder.Read(exec, size), over.Token);
        if (!exec.OpenInput && !exec.Terminal)
        {
            await execution.Input.DisposeAsync();
        }

        if (exec.Detach)
        {
            _ = SeeToAsync(execution, execution.Input);
            await socket.SendAsync(new StreamMessage("started"), over.Token);
            return;
        }

        bool detached = false;
        try
        {
            await socket.SendAsync(new StreamMessage("started"), over.Token);
            feeding(FeedAsync(socket, execution, () => detached = true, over));
            await Task.WhenAll(
                SendAsync(execution.Output, ProgramStream.Output, socket, over.Token),
                SendAsync(execution.Error, ProgramStream.Error, socket, over.Token));
            ExecutionEnd end = await execution.Completion.WaitAsync(over.Token);
            if ((execution as RemoteExecution)?.Lost is { } lost)
            {
                throw new BerthException(ErrorCode.NodeFault, lost.Message);
            }

            await socket.SendAsync(new StreamMessage("exit", ExitCode: CodeOf(end)), over.Token);
        }
        finally
        {
            if (detached)
            {
                // Its input stays open: what waits for somebody to type goes on waiting.
                _ = SeeToAsync(execution, doneWith: null);
            }
            else
            {
                await execution.DisposeAsync();
            }
        }
    }

    private static int CodeOf(ExecutionEnd end)
    {
        const int signalBase = 128;
        const int sigKill = 9;
        return end.ExitCode ?? signalBase + (end.Signal ?? sigKill);
    }

    /// <summary>A detached program: what it writes is read and dropped, so that it never waits for a reader.</summary>
    /// <param name="doneWith">Closed at once; null where nothing is.</param>
    private static async Task SeeToAsync(IExecution execution, Stream? doneWith)
    {
        await using (execution)
        {
            try
            {
                await (doneWith?.DisposeAsync() ?? ValueTask.CompletedTask);
                await Task.WhenAll(
                    execution.Output.CopyToAsync(Stream.Null), execution.Error.CopyToAsync(Stream.Null));
            }
            catch (IOException)
            {
                // Its terminal is gone.
            }

            await execution.Completion;
        }
    }

    private static async Task SendAsync(
        Stream source, ProgramStream stream, StreamSocket socket, CancellationToken cancellationToken)
    {
        byte[] block = new byte[16 * 1024];
        while (true)
        {
            int count;
            try
            {
                count = await source.ReadAsync(block, cancellationToken);
            }
            catch (IOException)
            {
                // A terminal whose last program has ended.
                return;
            }

            if (count == 0)
            {
                return;
            }

            await socket.SendAsync(new ProgramOutput(stream, block.AsMemory(0, count)), cancellationToken);
        }
    }

    private async Task FeedAsync(StreamSocket socket, ContainerEntry entry, CancellationTokenSource over)
    {
        await FeedAsync(
            socket,
            async input => (await LiveAsync(entry, over.Token)) is { } live && await live.WriteAsync(input, over.Token),
            async () => await ((await LiveAsync(entry, over.Token))?.CloseInputAsync(over.Token) ?? Task.CompletedTask),
            size => entry.Live?.Attempt.Resize(size),
            signal => entry.Live?.Attempt.Signal(signal),
            // To leave it, closing the connection is enough.
            () => { },
            over);
    }

    private static Task FeedAsync(
        StreamSocket socket, IExecution execution, Action leave, CancellationTokenSource over) => FeedAsync(
        socket,
        async input =>
        {
            try
            {
                await execution.Input.WriteAsync(input, over.Token);
                return true;
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException)
            {
                return false;
            }
        },
        async () => await execution.Input.DisposeAsync(),
        execution.Resize,
        execution.Signal,
        leave,
        over);

    private static async Task FeedAsync(
        StreamSocket socket, Func<ReadOnlyMemory<byte>, Task<bool>> write, Func<Task> close,
        Action<TerminalSize> resize, Action<int> signal, Action leave, CancellationTokenSource over)
    {
        try
        {
            bool takesInput = true;
            while (await socket.ReceiveAsync() is { } received)
            {
                switch (received.Message)
                {
                    case null:
                        takesInput = takesInput && await write(received.Input);
                        break;
                    case { Type: "end_of_input" }:
                        await close();
                        takesInput = false;
                        break;
                    case { Type: "resize" } message when SizeOf(message) is { } size:
                        resize(size);
                        break;
                    case { Type: "signal", Signal: { } name }:
                        signal(SignalName.Parse(name));
                        break;
                    case { Type: "detach" }:
                        leave();
                        await over.CancelAsync();
                        break;
                    default:
                        throw new BerthException(
                            ErrorCode.InvalidRequest, $"There is no message '{received.Message.Type}' here.");
                }
            }
        }
        catch (BerthException refusal)
        {
            await TrySendAsync(socket, refusal);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // It is over.
        }

        await over.CancelAsync();
    }

    /// <summary>The container's program, once it runs.</summary>
    private static async Task<LiveContainer?> LiveAsync(ContainerEntry entry, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed = entry.Changed;
            if (entry.Live is { } live)
            {
                return live;
            }

            if (entry.Removed)
            {
                return null;
            }

            await changed.WaitAsync(cancellationToken);
        }
    }

    private static async Task TrySendAsync(StreamSocket socket, BerthException refusal)
    {
        try
        {
            using CancellationTokenSource limit = new(TimeSpan.FromSeconds(5));
            await socket.SendAsync(refusal, limit.Token);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // It has gone.
        }
    }

    private static TerminalSize? SizeOf(StreamMessage message) =>
        message is { Rows: > 0 and { } rows, Columns: > 0 and { } columns } ? new TerminalSize(rows, columns) : null;

    private static async Task<StreamSocket> AcceptAsync(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"This address speaks WebSocket (RFC 6455) with the subprotocol {StreamProtocol.Name}: connect with a "
                + "WebSocket client, or use 'berth attach' and 'berth exec'.");
        }

        bool offered = context.WebSockets.WebSocketRequestedProtocols.Contains(StreamProtocol.Name);
        return offered
            ? new StreamSocket(await context.WebSockets.AcceptWebSocketAsync(StreamProtocol.Name))
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"Offer the subprotocol {StreamProtocol.Name} in Sec-WebSocket-Protocol.");
    }
}
