using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Server.Problems;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Berth.Server.RunEndpoints;

/// <summary>Sends an input or result, whole or one range of it (RFC 9110, section 14).</summary>
internal static class ContentAnswer
{
    private const int Block = 128 * 1024;

    /// <summary>Takes over the content's stream.</summary>
    /// <param name="ranges">Whether the header Range counts.</param>
    public static async Task WriteAsync(HttpContext context, RunContent content, bool ranges)
    {
        await using Stream stream = content.Stream;
        HttpResponse response = context.Response;
        // An id's content never changes, so the id tags it.
        string tag = $"\"{content.Run.Id}\"";
        (long from, long length) = (0, content.Length);
        if (ranges)
        {
            response.Headers.AcceptRanges = "bytes";
            response.Headers.ETag = tag;
            if (Requested(context.Request, tag) is { } range)
            {
                (from, length) = Resolve(range, content.Length);
                if (length <= 0)
                {
                    await RefuseAsync(context, content.Length);
                    return;
                }

                response.StatusCode = StatusCodes.Status206PartialContent;
                response.Headers.ContentRange = string.Create(
                    CultureInfo.InvariantCulture, $"bytes {from}-{from + length - 1}/{content.Length}");
            }
        }

        response.ContentType = content.ContentType;
        response.ContentLength = length;
        if (HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }

        stream.Seek(from, SeekOrigin.Begin);
        await CopyAsync(stream, response.BodyWriter, length, context.RequestAborted);
    }

    private static RangeItemHeaderValue? Requested(HttpRequest request, string tag)
    {
        // Several ranges, another unit or a malformed header: the whole content, as the RFC allows.
        if (!RangeHeaderValue.TryParse(request.Headers.Range.ToString(), out RangeHeaderValue? range)
            || range.Unit != "bytes" || range.Ranges.Count != 1)
        {
            return null;
        }

        string condition = request.Headers.IfRange.ToString();
        return condition.Length == 0 || condition == tag ? range.Ranges.First() : null;
    }

    /// <summary>First byte and number of bytes; none where the range lies outside.</summary>
    private static (long From, long Length) Resolve(RangeItemHeaderValue range, long total)
    {
        long from = range.From ?? Math.Max(0, total - (range.To ?? 0));
        long to = range.From is null ? total - 1 : Math.Min(range.To ?? long.MaxValue, total - 1);
        return (from, to - from + 1);
    }

    private static Task RefuseAsync(HttpContext context, long total)
    {
        context.Response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes */{total}");
        return ProblemWriter.WriteAsync(context, ProblemWriter.Describe(
            ErrorCode.RangeNotSatisfiable,
            $"The range '{context.Request.Headers.Range}' lies outside the {total} bytes there are."));
    }

    private static async Task CopyAsync(
        Stream stream, PipeWriter writer, long length, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            Memory<byte> block = writer.GetMemory(Block);
            int count = await stream.ReadAsync(block[..(int)Math.Min(block.Length, length)], cancellationToken);
            if (count == 0)
            {
                throw new EndOfStreamException("The stored content is shorter than its record says.");
            }

            length -= count;
            writer.Advance(count);
            await writer.FlushAsync(cancellationToken);
        }
    }
}
