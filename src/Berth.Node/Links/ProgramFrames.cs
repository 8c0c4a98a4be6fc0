using System.Buffers;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>A program's streams as frames, and what is said where there is no program.</summary>
internal static class ProgramFrames
{
    /// <summary>Copies what comes to the program.</summary>
    /// <param name="closed">Told that it reads no more, so that no more is sent.</param>
    public static async Task FeedAsync(IncomingStream input, Stream target, Action closed, CancellationToken over)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(LinkProtocol.MaxData);
        try
        {
            while (await input.ReadAsync(buffer, over) is > 0 and int count)
            {
                await target.WriteAsync(buffer.AsMemory(0, count), over);
            }
        }
        catch (Exception fault) when (fault is IOException or OperationCanceledException or ObjectDisposedException)
        {
            if (!over.IsCancellationRequested)
            {
                closed();
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            await target.DisposeAsync();
        }
    }

    /// <summary>Copies what the program writes, as fast as it is read, and says where it ends.</summary>
    public static async Task CopyAsync(
        Stream source, FrameKind kind, FrameKind end, CreditGate credit, FrameWriter answers, CancellationToken over)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(LinkProtocol.MaxData);
        try
        {
            while (await ReadAsync(source, buffer.AsMemory(0, LinkProtocol.MaxData), over) is > 0 and int count)
            {
                for (int sent = 0; sent < count;)
                {
                    int part = await credit.TakeAsync(count - sent, over);
                    await answers.SendAsync(kind, buffer.AsMemory(sent, part), over);
                    sent += part;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        await answers.SendAsync(end, over);
    }

    /// <summary>Reads what a program wrote; 0 at its end.</summary>
    public static async ValueTask<int> ReadAsync(Stream source, Memory<byte> buffer, CancellationToken over)
    {
        try
        {
            return await source.ReadAsync(buffer, over);
        }
        catch (Exception ended) when (ended is ObjectDisposedException or IOException)
        {
            // The sandbox's pipe is closed, or its terminal has no program any more (EIO): what was read is what there
            // is.
            return 0;
        }
    }

    public static Task RefuseAsync(Exception fault, FrameWriter answers, ILogger logger, CancellationToken gone)
    {
        BerthException? refusal = fault as BerthException;
        if (refusal is null)
        {
            LinkLog.BadOrder(logger, fault.Message);
        }

        return answers.SendAsync(
            FrameKind.Refused,
            new RefusalReport(
                ErrorCatalog.Find(refusal?.Code ?? ErrorCode.NodeFault).Code,
                refusal?.Message ?? "The node failed to start it; its log says why.",
                (long?)refusal?.RetryAfter?.TotalMilliseconds),
            LinkJson.Default.RefusalReport, gone);
    }

    /// <summary>Takes a frame of a program's input, or of how much of its output is welcome.</summary>
    /// <returns>False where it is another.</returns>
    public static bool TryPass(Frame frame, IncomingStream input, Action<int> output, Action<int> error)
    {
        switch (frame.Kind)
        {
            case FrameKind.Input:
                input.Accept(frame.Payload);
                return true;
            case FrameKind.InputEnd:
                input.End();
                return true;
            case FrameKind.OutputCredit:
                output(LinkFrame.CreditOf(frame.Payload));
                return true;
            case FrameKind.ErrorCredit:
                error(LinkFrame.CreditOf(frame.Payload));
                return true;
            default:
                return false;
        }
    }

    /// <summary>Does what a frame says an attempt is to do.</summary>
    /// <returns>False where it says nothing of the kind.</returns>
    public static bool TrySteer(Frame frame, IAttempt attempt)
    {
        switch (frame.Kind)
        {
            case FrameKind.Stop:
                StopOrder stop = frame.Read(LinkJson.Default.StopOrder);
                attempt.Stop(
                    Enum.TryParse(stop.Reason, out EndReason reason) ? reason : EndReason.PlatformFault,
                    TimeSpan.FromMilliseconds(Math.Max(0, stop.GraceMs)));
                return true;
            case FrameKind.Signal:
                attempt.Signal(SignalOf(frame));
                return true;
            case FrameKind.Pause:
                attempt.Pause();
                return true;
            case FrameKind.Resume:
                attempt.Resume();
                return true;
            default:
                return false;
        }
    }

    public static int SignalOf(Frame frame) => frame.Payload.FirstSpan is [var number] ? number : 0;

    /// <summary>Null for a size that no terminal has.</summary>
    public static TerminalSize? SizeOf(Frame frame)
    {
        TerminalOrder size = frame.Read(ContainerLinkJson.Default.TerminalOrder);
        return TerminalOrder.Read(size.Rows, size.Columns);
    }

    /// <summary>Tells what an attempt uses, now and then until it has ended: nobody can ask from afar.</summary>
    public static async Task ReportFiguresAsync(
        IAttempt attempt, FrameWriter answers, TimeProvider time, CancellationToken over)
    {
        using PeriodicTimer timer = new(LinkProtocol.FiguresPeriod, time);
        Task<bool> tick;
        do
        {
            if (attempt.Measure() is { } figures)
            {
                await answers.SendAsync(
                    FrameKind.Figures, LinkWords.Write(figures), LinkJson.Default.FiguresReport, over);
            }

            tick = timer.WaitForNextTickAsync(over).AsTask();
        }
        while (await Task.WhenAny(tick, attempt.Completion) == tick && await tick);
    }
}
