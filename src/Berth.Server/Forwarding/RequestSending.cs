using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Forwarding;

/// <summary>A request on its way to the program: the head, then the body in the pieces in which it comes. What is there
/// already goes out with the head in one piece.</summary>
internal sealed class RequestSending : IDisposable
{
    private const int LargestCopied = 16 * 1024;

    private readonly ServiceConnection target;
    private readonly PipeReader? body;
    private readonly bool chunked;

    /// <summary>Where a body goes on after the head.</summary>
    private CancellationTokenSource? stop;

    private RequestSending(ServiceConnection target, HttpRequest request, bool hasBody)
    {
        this.target = target;
        body = hasBody ? request.BodyReader : null;
        chunked = request.ContentLength is null;
    }

    /// <summary>Completes when all is sent or nothing can be sent any more. Never faults.</summary>
    public Task<bool> Completion { get; private set; } = Task.FromResult(false);

    /// <summary>Of the body.</summary>
    public long Bytes { get; private set; }

    /// <summary>Whether anything of the body was taken from the caller, sent or not: it can't be had again.</summary>
    public bool HasTaken { get; private set; }

    /// <summary>What of the caller's kept the body from being sent; null where nothing did.</summary>
    public Exception? Fault { get; private set; }

    /// <summary>Sends the connection's head and what follows it.</summary>
    public static RequestSending Begin(ServiceConnection target, HttpRequest request, bool hasBody)
    {
        RequestSending sending = new(target, request, hasBody);
        sending.Completion = sending.RunAsync(target.Head);
        return sending;
    }

    /// <summary>Takes no more from the caller. Completes when nothing of the request is used any more.</summary>
    public async Task StopAsync()
    {
        if (stop is not null)
        {
            await stop.CancelAsync();
        }

        await Completion;
    }

    public void Dispose() => stop?.Dispose();

    /// <returns>Whether all was sent.</returns>
    private async Task<bool> RunAsync(ArrayBufferWriter<byte> head)
    {
        try
        {
            if (body is null || Join(head))
            {
                await target.WriteAsync(head.WrittenMemory);
                return true;
            }

            stop = new CancellationTokenSource();
            await target.WriteAsync(head.WrittenMemory);
            return await SendBodyAsync(stop.Token);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The answer says what happened: a program may well answer before it has taken everything.
            return false;
        }
    }

    /// <summary>Adds what of the body is there; returns whether that is all of it.</summary>
    private bool Join(ArrayBufferWriter<byte> head)
    {
        ReadResult read;
        try
        {
            if (!body!.TryRead(out read))
            {
                return false;
            }
        }
        catch (Exception error)
        {
            Fault = error;
            throw new IOException("The body broke off.", error);
        }

        bool fits = read.Buffer.Length <= LargestCopied;
        if (fits && !read.Buffer.IsEmpty)
        {
            Frame(head, read.Buffer.Length);
            foreach (ReadOnlyMemory<byte> piece in read.Buffer)
            {
                head.Write(piece.Span);
            }

            EndFrame(head);
            HasTaken = true;
            Bytes += read.Buffer.Length;
        }

        bool all = fits && read.IsCompleted;
        body!.AdvanceTo(fits ? read.Buffer.End : read.Buffer.Start);
        if (all && chunked)
        {
            head.Write("0\r\n\r\n"u8);
        }

        return all;
    }

    private async Task<bool> SendBodyAsync(CancellationToken cancellationToken)
    {
        ArrayBufferWriter<byte> frame = new(32);
        while (true)
        {
            ReadResult read;
            try
            {
                read = await body!.ReadAsync(cancellationToken);
            }
            catch (Exception error) when (error is not OperationCanceledException)
            {
                Fault = error;
                // So that the program does not take what came for all.
                target.Dispose();
                return false;
            }

            HasTaken |= !read.Buffer.IsEmpty;
            try
            {
                await SendAsync(read.Buffer, frame);
            }
            finally
            {
                body.AdvanceTo(read.Buffer.End);
            }

            if (read.IsCompleted)
            {
                if (chunked)
                {
                    await target.WriteAsync(LastChunk);
                }

                return true;
            }
        }
    }

    private static ReadOnlyMemory<byte> LastChunk { get; } = "0\r\n\r\n"u8.ToArray();

    private static ReadOnlyMemory<byte> LineEnd { get; } = "\r\n"u8.ToArray();

    private async Task SendAsync(ReadOnlySequence<byte> bytes, ArrayBufferWriter<byte> frame)
    {
        if (bytes.IsEmpty)
        {
            return;
        }

        if (chunked)
        {
            frame.ResetWrittenCount();
            Frame(frame, bytes.Length);
            await target.WriteAsync(frame.WrittenMemory);
        }

        foreach (ReadOnlyMemory<byte> piece in bytes)
        {
            await target.WriteAsync(piece);
            Bytes += piece.Length;
        }

        if (chunked)
        {
            await target.WriteAsync(LineEnd);
        }
    }

    private void Frame(ArrayBufferWriter<byte> to, long length)
    {
        if (chunked)
        {
            to.Write(Encoding.ASCII.GetBytes(length.ToString("x", CultureInfo.InvariantCulture) + "\r\n"));
        }
    }

    private void EndFrame(ArrayBufferWriter<byte> to)
    {
        if (chunked)
        {
            to.Write("\r\n"u8);
        }
    }
}
