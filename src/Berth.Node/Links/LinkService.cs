using System.IO.Pipelines;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>What a node answers over its link: a greeting with heartbeats, attempts, connections to their programs, and
/// containers.</summary>
internal sealed class LinkService(LinkRoom room, ServerLink link)
{
    private readonly ILogger logger = room.Logger;
    private readonly LinkedAttempts attempts = new();

    /// <summary>Where the node speaks for itself; null while no server listens that knows of leaving.</summary>
    private FrameWriter? control;

    /// <summary>Over HTTP/2, for servers of before there were other streams.</summary>
    public async Task AnswerAsync(HttpContext context)
    {
        // The head goes now: the server reads the answer while it writes the request.
        await context.Response.StartAsync(context.RequestAborted);
        if (!await AnswerAsync(
            context.Request.Path, context.Request.BodyReader, context.Response.BodyWriter,
            // With the answer's own.
            static () => ValueTask.CompletedTask, context.RequestAborted))
        {
            context.Abort();
        }
    }

    /// <summary>Over a stream of the link's own.</summary>
    public async Task AnswerAsync(MultiplexedStream stream)
    {
        if (!await AnswerAsync(stream.Path, stream.Input, stream.Output, stream.EndAsync, stream.Gone))
        {
            stream.Reset();
            return;
        }

        stream.Ignore();
        try
        {
            await stream.EndAsync();
        }
        catch (IOException)
        {
            // The link is over, or the server gave the stream up.
            stream.Reset();
        }
    }

    /// <summary>Says that the node leaves.</summary>
    /// <returns>False where there is nobody to say it to; else the server ends the link.</returns>
    public async Task<bool> LeaveAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref control) is not { } writer)
        {
            return false;
        }

        try
        {
            await writer.SendAsync(FrameKind.Leaving, cancellationToken);
            return true;
        }
        catch (Exception gone) when (gone is IOException or OperationCanceledException or InvalidOperationException)
        {
            return false;
        }
    }

    public void Complain(LinkException wrong) => LinkLog.BadOrder(logger, wrong.Message);

    /// <param name="end">Says that no more is answered, before what it took is cleared away.</param>
    /// <returns>False where the stream broke, and is to be given up.</returns>
    private async Task<bool> AnswerAsync(
        string path, PipeReader input, PipeWriter output, Func<ValueTask> end, CancellationToken gone)
    {
        FrameReader reader = new(input);
        using FrameWriter writer = new(output);
        try
        {
            switch (path)
            {
                case LinkProtocol.AttemptPath:
                    await new OrderedAttempt(room, link, attempts, reader, writer, end).RunAsync(gone);
                    break;
                case LinkProtocol.ConnectionPath:
                    await new OrderedConnection(attempts, reader, writer, room.Poller, room.Time).RunAsync(gone);
                    break;
                case LinkProtocol.ContainerPath:
                    await new OrderedContainer(room, link, reader, writer).RunAsync(gone);
                    break;
                case LinkProtocol.ExecutionPath:
                    await new OrderedExecution(room, link, reader, writer).RunAsync(gone);
                    break;
                case LinkProtocol.KeptPath:
                    await new KeptQuestion(room, link, reader, writer).RunAsync(gone);
                    break;
                case LinkProtocol.VolumePath:
                    await RemoveVolumeAsync(reader, writer, gone);
                    break;
                case LinkProtocol.ControlPath:
                    await ControlAsync(reader, writer, gone);
                    break;
            }

            // A posted frame may still be on its way into the buffer that the stream's end sends.
            await writer.CloseAsync();
            return true;
        }
        catch (LinkException fault)
        {
            LinkLog.BadOrder(logger, fault.Message);
            return false;
        }
        catch (Exception over) when (over is OperationCanceledException or IOException)
        {
            // The link is over, or this stream of it.
            return false;
        }
    }

    private async Task ControlAsync(FrameReader reader, FrameWriter writer, CancellationToken gone)
    {
        await writer.SendAsync(
            FrameKind.Hello, room.Networks.Greet(room.Hello(), link), LinkJson.Default.NodeHello, gone);
        Frame answer = await reader.ReadAsync(gone) ?? throw new LinkException("The server did not greet.");
        if (answer.Kind == FrameKind.Refused)
        {
            link.Refuse(answer.Read(LinkJson.Default.RefusalReport).Message);
            return;
        }

        int version = answer.Read(LinkJson.Default.NodeWelcome).Version;
        link.Welcome(version);
        link.Speak(writer);
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(gone);
        Task beating = BeatAsync(writer, over.Token);
        using LinkNetworks networks = room.Networks.Begin(writer);
        try
        {
            Volatile.Write(ref control, version >= LinkProtocol.ProcessesVersion ? writer : null);
            while (await reader.ReadAsync(gone) is { } frame)
            {
                switch (frame.Kind)
                {
                    case FrameKind.Expect:
                        room.Ahead.Expect(ReadShape(frame));
                        break;
                    case FrameKind.Fetch:
                        room.Ahead.Fetch(ReadImage(frame));
                        break;
                    case FrameKind.Networks:
                        await networks.HearAsync(frame.Read(NetworkLinkJson.Default.NetworksReport).Read(), gone);
                        break;
                    case FrameKind.Servers:
                        room.Told(frame.Read(LinkJson.Default.ServerList));
                        break;
                    default:
                        throw new LinkException($"A frame {frame.Kind} came among the hints.");
                }
            }
        }
        finally
        {
            link.Speak(null);
            Interlocked.CompareExchange(ref control, null, writer);
            await over.CancelAsync();
            await beating;
            await networks.EndAsync();
        }
    }

    private async Task RemoveVolumeAsync(FrameReader reader, FrameWriter writer, CancellationToken gone)
    {
        Frame order = await reader.ReadAsync(gone) ?? throw new LinkException("A stream ended before its order.");
        if (order.Kind != FrameKind.RemoveVolume)
        {
            throw new LinkException($"What was to become of a volume began with a frame {order.Kind}.");
        }

        try
        {
            string name = ContainerName.Check(order.Read(LinkJson.Default.VolumeOrder).Name ?? "", "volume");
            await room.Kept.RemoveVolumeAsync(name, gone);
            await writer.SendAsync(FrameKind.VolumeRemoved, gone);
        }
        catch (BerthException refusal)
        {
            await writer.SendAsync(
                FrameKind.Refused, new RefusalReport(ErrorCatalog.Find(refusal.Code).Code, refusal.Message, null),
                LinkJson.Default.RefusalReport, gone);
        }
    }

    private static Digest ReadImage(Frame frame) =>
        Digest.TryParse(frame.Read(LinkJson.Default.FetchOrder).Image, out Digest image)
            ? image
            : throw new LinkException("An image to be fetched has no digest.");

    private static SandboxSpec ReadShape(Frame frame)
    {
        try
        {
            return frame.Read(LinkJson.Default.ShapeOrder).Read();
        }
        catch (Exception error) when (error is BerthException or ArgumentException)
        {
            throw new LinkException($"A shape can't be read: {error.Message}", error);
        }
    }

    private async Task BeatAsync(FrameWriter writer, CancellationToken over)
    {
        using PeriodicTimer timer = new(LinkProtocol.HeartbeatPeriod, room.Time);
        try
        {
            do
            {
                await writer.SendAsync(FrameKind.Heartbeat, room.Heartbeat(link), LinkJson.Default.NodeHeartbeat, over);
            }
            while (await timer.WaitForNextTickAsync(over));
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            return;
        }
    }
}
