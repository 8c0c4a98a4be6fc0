using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;

namespace Berth.Node.Links;

/// <summary>One program beside a container's, from its order to its end. It lives no longer than its stream.</summary>
internal sealed class OrderedExecution(LinkRoom room, ServerLink link, FrameReader orders, FrameWriter answers)
{
    private readonly CreditGate outputCredit = new();
    private readonly CreditGate errorCredit = new();

    /// <param name="gone">Cancelled when the stream is.</param>
    public async Task RunAsync(CancellationToken gone)
    {
        Frame first = await orders.ReadAsync(gone) ?? throw new LinkException("A stream ended before its order.");
        ExecutionOrder order = first.Kind == FrameKind.Execute
            ? first.Read(ContainerLinkJson.Default.ExecutionOrder)
            : throw new LinkException($"A program beside a container's began with a frame {first.Kind}.");
        IExecution execution;
        try
        {
            KeptContainer kept = room.Kept.Find(link.Server, order.Attempt ?? "")
                ?? throw new BerthException(ErrorCode.NodeFault, "The container's program has ended.");
            execution = await kept.Attempt.ExecuteAsync(Read(order), gone);
        }
        catch (Exception fault) when (fault is not (OperationCanceledException or LinkException))
        {
            await ProgramFrames.RefuseAsync(fault, answers, room.Logger, gone);
            return;
        }

        await using (execution)
        {
            await answers.SendAsync(
                FrameKind.Started, new StartedReport(0, 0, false), LinkJson.Default.StartedReport, gone);
            await FollowAsync(execution, gone);
        }
    }

    private static ExecutionSpec Read(ExecutionOrder order)
    {
        try
        {
            return order.Read();
        }
        catch (ArgumentException error)
        {
            throw new LinkException($"An order can't be read: {error.Message}", error);
        }
    }

    private async Task FollowAsync(IExecution execution, CancellationToken gone)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(gone);
        IncomingStream input = new(n => answers.PostCredit(FrameKind.InputCredit, n));
        Task obeying = ObeyAsync(execution, input, over.Token);
        Task feeding = ProgramFrames.FeedAsync(
            input, execution.Input, () => answers.Post(FrameKind.InputClosed, default), over.Token);
        try
        {
            Task all = Task.WhenAll(
                ProgramFrames.CopyAsync(
                    execution.Output, FrameKind.Output, FrameKind.OutputEnd, outputCredit, answers, over.Token),
                ProgramFrames.CopyAsync(
                    execution.Error, FrameKind.Error, FrameKind.ErrorEnd, errorCredit, answers, over.Token),
                ReportAsync(execution, over.Token));
            if (await Task.WhenAny(all, obeying) == obeying)
            {
                // A fault is thrown here; an orderly end leaves the program its time to end.
                await obeying;
            }

            await all;
        }
        finally
        {
            await over.CancelAsync();
            input.End();
            await feeding;
            await obeying.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await input.DisposeAsync();
            await answers.CloseAsync();
        }
    }

    private async Task ObeyAsync(IExecution execution, IncomingStream input, CancellationToken over)
    {
        while (await orders.ReadAsync(over) is { } frame)
        {
            if (ProgramFrames.TryPass(frame, input, outputCredit.Add, errorCredit.Add))
            {
                continue;
            }

            switch (frame.Kind)
            {
                case FrameKind.Signal:
                    execution.Signal(ProgramFrames.SignalOf(frame));
                    break;
                case FrameKind.Resize:
                    if (ProgramFrames.SizeOf(frame) is { } terminal)
                    {
                        execution.Resize(terminal);
                    }

                    break;
                default:
                    throw new LinkException($"A frame {frame.Kind} steers no program beside a container's.");
            }
        }
    }

    private async Task ReportAsync(IExecution execution, CancellationToken over)
    {
        ExecutionEnd end = await execution.Completion.WaitAsync(over);
        await answers.SendAsync(
            FrameKind.Executed, new ExecutionReport(end.ExitCode, end.Signal),
            ContainerLinkJson.Default.ExecutionReport, over);
    }
}
