using System.Buffers.Text;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Calls;

/// <summary>
/// Sends an answer of unknown length. In HTTP/1.1 it makes the chunks itself (RFC 9112, section 7.1), because Kestrel
/// sends no trailers there; HTTP/2 has both; in HTTP/1.0 the end of the connection is the end of the answer. Without
/// <see cref="FinishAsync"/> the answer has no end, so that nobody takes it for whole.
/// </summary>
internal sealed class AnswerWriter
{
    // Six hexadecimal digits and a line end before a chunk's bytes, a line end after them.
    private const int SizeDigits = 6;
    private const int Before = SizeDigits + 2;
    private const int After = 2;
    private const int Block = 256 * 1024;

    private readonly HttpResponse response;
    private readonly PipeWriter client;
    private readonly bool chunked;
    private readonly CancellationToken gone;
    private Memory<byte> block;

    private AnswerWriter(HttpResponse response, CancellationToken gone)
    {
        this.response = response;
        this.gone = gone;
        client = response.BodyWriter;
        chunked = HttpProtocol.IsHttp11(response.HttpContext.Request.Protocol);
    }

    /// <summary>Sends the head of the answer.</summary>
    /// <param name="trailers">Names of what <see cref="FinishAsync"/> will send.</param>
    public static async Task<AnswerWriter> BeginAsync(HttpResponse response, string trailers, CancellationToken gone)
    {
        AnswerWriter writer = new(response, gone);
        if (writer.chunked)
        {
            response.Headers.TransferEncoding = "chunked";
        }

        if (writer.chunked || response.SupportsTrailers())
        {
            response.Headers.Trailer = trailers;
        }

        await response.StartAsync(gone);
        return writer;
    }

    /// <summary>
    /// Where the next bytes go. Valid until <see cref="Advance"/>, which must be called before the next flush.
    /// </summary>
    public Memory<byte> GetMemory()
    {
        block = client.GetMemory(Block);
        return chunked ? block[Before..^After] : block;
    }

    /// <summary>Says how many bytes were put there; at least one.</summary>
    public void Advance(int count)
    {
        if (!chunked)
        {
            client.Advance(count);
            return;
        }

        Span<byte> whole = block.Span;
        if (!Utf8Formatter.TryFormat(count, whole, out _, new System.Buffers.StandardFormat('x', SizeDigits)))
        {
            throw new InvalidOperationException("The size of a chunk did not fit.");
        }

        "\r\n"u8.CopyTo(whole[SizeDigits..]);
        "\r\n"u8.CopyTo(whole[(Before + count)..]);
        client.Advance(Before + count + After);
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Span<byte> target = GetMemory().Span;
            int count = Math.Min(target.Length, bytes.Length);
            bytes[..count].CopyTo(target);
            Advance(count);
            bytes = bytes[count..];
        }
    }

    /// <summary>
    /// Completes when more may be written. Throws OperationCanceledException when the caller goes away.
    /// </summary>
    public ValueTask FlushAsync()
    {
        ValueTask<FlushResult> flush = client.FlushAsync(gone);
        if (!flush.IsCompletedSuccessfully)
        {
            return new ValueTask(AwaitAsync(flush));
        }

        ThrowIfGone(flush.Result);
        return ValueTask.CompletedTask;
    }

    /// <summary>Ends the answer.</summary>
    public async Task FinishAsync(IHeaderDictionary trailers)
    {
        if (chunked)
        {
            StringBuilder end = new("0\r\n");
            foreach ((string name, StringValues value) in trailers)
            {
                end.Append($"{name}: {value}\r\n");
            }

            await client.WriteAsync(Encoding.ASCII.GetBytes(end.Append("\r\n").ToString()), gone);
        }
        else if (response.SupportsTrailers())
        {
            foreach ((string name, StringValues value) in trailers)
            {
                response.AppendTrailer(name, value);
            }
        }
    }

    private static async Task AwaitAsync(ValueTask<FlushResult> flush) => ThrowIfGone(await flush);

    private static void ThrowIfGone(FlushResult flushed)
    {
        if (flushed.IsCompleted)
        {
            throw new CallerGoneException();
        }
    }
}
