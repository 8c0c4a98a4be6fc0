using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Server.Problems;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

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
            if (Requested(context.Request, tag, content.Length) is { } range)
            {
                if (!range.IsSatisfiable)
                {
                    await RefuseAsync(context, content.Length);
                    return;
                }

                (from, length) = (range.First, range.Length);
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

    private static ByteRange? Requested(HttpRequest request, string tag, long total)
    {
        string condition = request.Headers.IfRange.ToString();
        return condition.Length == 0 || condition == tag
            ? ByteRange.Parse(request.Headers.Range.ToString(), total)
            : null;
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
