using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;

namespace Berth.Node.Links;

/// <summary>One stream about a container: it orders it, or goes on with one that is here.</summary>
internal sealed class OrderedContainer(LinkRoom room, ServerLink link, FrameReader orders, FrameWriter answers)
{
    /// <param name="gone">Cancelled when the stream is.</param>
    public async Task RunAsync(CancellationToken gone)
    {
        Frame first = await orders.ReadAsync(gone) ?? throw new LinkException("A stream ended before its order.");
        RejoinOrder? rejoin = null;
        KeptContainer kept;
        try
        {
            switch (first.Kind)
            {
                case FrameKind.Order:
                    kept = await StartAsync(OrderedAttempt.Read(first) with { IsContainer = true }, gone);
                    break;
                case FrameKind.Rejoin:
                    rejoin = first.Read(ContainerLinkJson.Default.RejoinOrder);
                    kept = room.Kept.Find(link.Server, rejoin.Attempt ?? "")
                        ?? throw new BerthException(
                            ErrorCode.NotFound, "The node has it no more: it was started anew meanwhile.");
                    break;
                default:
                    throw new LinkException($"A container's stream began with a frame {first.Kind}.");
            }
        }
        catch (Exception fault) when (fault is not (OperationCanceledException or LinkException))
        {
            await ProgramFrames.RefuseAsync(fault, answers, room.Logger, gone);
            return;
        }

        if (await kept.ServeAsync(rejoin, orders, answers, gone))
        {
            await room.Kept.ForgetAsync(kept);
        }
    }

    /// <summary>It has its room, which its last program may have left for it, whatever becomes of the stream.</summary>
    private async Task<KeptContainer> StartAsync(AttemptSpec spec, CancellationToken gone)
    {
        IDisposable place = room.Kept.Places.TakeOver(link.Server, spec) ?? await link.TakeAsync(spec, gone);
        try
        {
            KeptContainer kept = await room.Kept.StartAsync(link.Server, spec, gone);
            room.Kept.Places.Add(link.Server, kept.Attempt, place);
            return kept;
        }
        catch
        {
            place.Dispose();
            throw;
        }
    }
}

/// <summary>One question about what is kept here, or an order to keep something no more.</summary>
internal sealed class KeptQuestion(LinkRoom room, ServerLink link, FrameReader orders, FrameWriter answers)
{
    public async Task RunAsync(CancellationToken gone)
    {
        Frame order = await orders.ReadAsync(gone) ?? throw new LinkException("A stream ended before its order.");
        try
        {
            switch (order.Kind)
            {
                case FrameKind.AskKept:
                    KeptReport report = await room.Kept.ListAsync(link.Server, gone);
                    await answers.SendAsync(FrameKind.Kept, report, ContainerLinkJson.Default.KeptReport, gone);
                    break;
                case FrameKind.Drop:
                    await room.Kept.DropAsync(link.Server, order.Read(ContainerLinkJson.Default.DropOrder), gone);
                    await answers.SendAsync(FrameKind.Dropped, gone);
                    break;
                case FrameKind.AskProcesses:
                    await TellProcessesAsync(
                        order.Read(ContainerLinkJson.Default.ProcessesOrder).Attempt ?? "", gone);
                    break;
                default:
                    throw new LinkException($"A question about what is kept was a frame {order.Kind}.");
            }
        }
        catch (BerthException refusal)
        {
            await ProgramFrames.RefuseAsync(refusal, answers, room.Logger, gone);
        }
    }

    private async Task TellProcessesAsync(string attempt, CancellationToken gone)
    {
        KeptContainer kept = room.Kept.Find(link.Server, attempt)
            ?? throw new BerthException(ErrorCode.NodeFault, "The container's program has ended.");
        await answers.SendAsync(
            FrameKind.Processes, ProcessesReport.Of(await kept.Attempt.ProcessesAsync(gone)),
            ContainerLinkJson.Default.ProcessesReport, gone);
    }
}
