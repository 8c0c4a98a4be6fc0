using System.Buffers;
using System.Buffers.Binary;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Core.Errors;
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

    public static byte[] Credit(int bytes)
    {
        byte[] payload = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(payload, bytes);
        return payload;
    }
}
