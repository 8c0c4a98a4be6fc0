using System.Text.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Runs;

namespace Berth.Server.Nodes;

/// <summary>A program beside a container's on another machine: one stream of the link, and no longer than that.
/// </summary>
internal sealed class RemoteExecution : IExecution
{
    private readonly LinkExchange exchange;
    private readonly FrameWriter writer;
    private readonly RemoteOutput streams;
    private readonly RemoteInput input;
    private readonly CreditGate inputCredit = new();
    private readonly string node;
    private readonly TaskCompletionSource<ExecutionEnd> completion =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private Task reading = Task.CompletedTask;

    private RemoteExecution(LinkExchange exchange, string node)
    {
        this.exchange = exchange;
        this.node = node;
        writer = exchange.Writer;
        streams = new RemoteOutput(
            n => writer.PostCredit(FrameKind.OutputCredit, n), n => writer.PostCredit(FrameKind.ErrorCredit, n));
        input = new RemoteInput(writer, inputCredit);
    }

    public Stream Input => input;

    public Stream Output => streams.Output;

    public Stream Error => streams.Error;

    /// <summary>What became of its link, where it went without the program's end; null otherwise.</summary>
    public IOException? Lost { get; private set; }

    public Task<ExecutionEnd> Completion => completion.Task;

    /// <summary>As <see cref="IAttempt.ExecuteAsync"/>.</summary>
    /// <param name="attempt">Beside which.</param>
    public static async Task<RemoteExecution> StartAsync(
        ExecutionSpec spec, string attempt, string node, NodeLink link, CancellationToken cancellationToken)
    {
        LinkExchange? exchange = null;
        try
        {
            exchange = link.Open(LinkProtocol.ExecutionPath);
            await exchange.Writer.SendAsync(
                FrameKind.Execute, ExecutionOrder.Of(attempt, spec), ContainerLinkJson.Default.ExecutionOrder,
                cancellationToken);
            FrameReader frames = await exchange.ReaderAsync(cancellationToken);
            NodeAnswer.Require(await frames.ReadAsync(cancellationToken), FrameKind.Started);
            RemoteExecution execution = new(exchange, node);
            execution.reading = execution.ReadAsync(frames);
            return execution;
        }
        catch (Exception fault)
        {
            exchange?.Dispose();
            if (fault is IOException or HttpRequestException)
            {
                throw RemoteAttempt.Lost(node, fault);
            }

            throw;
        }
    }

    public void Signal(int number) => writer.Post(FrameKind.Signal, new[] { (byte)number });

    public void Resize(TerminalSize size) => writer.Post(
        FrameKind.Resize,
        JsonSerializer.SerializeToUtf8Bytes(
            new TerminalOrder(size.Rows, size.Columns), ContainerLinkJson.Default.TerminalOrder));

    public async ValueTask DisposeAsync()
    {
        // Where it still runs, the node ends it with its stream.
        exchange.Dispose();
        await reading;
        writer.Dispose();
        await streams.DisposeAsync();
    }

    private async Task ReadAsync(FrameReader frames)
    {
        Exception? fault = null;
        try
        {
            while (await frames.ReadAsync(CancellationToken.None) is { } frame)
            {
                Take(frame);
            }

            exchange.Complete();
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException
            or ObjectDisposedException or ArgumentException)
        {
            fault = gone;
        }

        inputCredit.Close();
        if (completion.Task.IsCompleted && fault is null)
        {
            streams.End();
            return;
        }

        // Who reads must not take a part for the whole.
        Lost = new IOException($"The connection to the node '{node}' broke, and the program with it.", fault);
        streams.Break(Lost);
        completion.TrySetResult(new ExecutionEnd(null, null));
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
            case FrameKind.Executed:
                ExecutionReport end = frame.Read(ContainerLinkJson.Default.ExecutionReport);
                completion.TrySetResult(new ExecutionEnd(end.ExitCode, end.Signal));
                break;
            default:
                throw new LinkException($"The node sent a frame {frame.Kind} about a program beside a container's.");
        }
    }
}
