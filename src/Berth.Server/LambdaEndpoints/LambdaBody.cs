using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Server.Calls;
using Berth.Server.Hosting;
using Berth.Server.Lambda;
using Berth.Server.Problems;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.LambdaEndpoints;

/// <summary>The caller's part of a call, taken into memory.</summary>
internal static class LambdaBody
{
    public const string Setting = "lambda-payload-limit";

    private const int MaxTrace = 256;

    /// <summary>To be called before anything waits.</summary>
    public static void Limit(HttpContext context, ByteSize limit, TimeSpan patience, TimeProvider time)
    {
        CallAnswer.LimitBody(context, limit, Setting);
        PatientBody.Install(context, patience, time);
    }

    /// <exception cref="BerthException">The body broke off, is too large, or takes longer than the call
    /// may.</exception>
    public static async Task<byte[]> ReadAsync(HttpContext context, CancellationToken deadline)
    {
        PipeReader body = context.Request.BodyReader;
        try
        {
            while (true)
            {
                ReadResult read = await body.ReadAsync(deadline);
                if (read.IsCompleted)
                {
                    byte[] all = read.Buffer.ToArray();
                    body.AdvanceTo(read.Buffer.End);
                    return all;
                }

                body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        catch (BadHttpRequestException malformed)
        {
            throw ProblemWriter.Translate(malformed);
        }
        catch (OperationCanceledException) when (
            deadline.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            throw new BerthException(
                ErrorCode.RequestTimeout, "The body did not come within the call's time: send it faster.");
        }
    }

    /// <summary>An event must fit, whatever it was made of.</summary>
    public static void Check(long length, ByteSize limit)
    {
        if (length > limit.Bytes)
        {
            throw new BerthException(
                ErrorCode.BodyTooLarge,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The event has {length} bytes and may have {limit.Bytes} (the operator's {Setting})."));
        }
    }

    /// <summary>The caller's, or one that continues the request's own.</summary>
    public static string TraceOf(HttpContext context)
    {
        StringValues given = context.Request.Headers[KeptEvent.TraceHeader];
        if (given is [{ Length: > 0 and <= MaxTrace } text] && text.All(c => c is >= ' ' and <= '~'))
        {
            return text;
        }

        TraceContext trace = TraceContext.Of(context);
        return $"Root=1-{trace.TraceId[..8]}-{trace.TraceId[8..]};Parent={trace.SpanId};Sampled="
            + (trace.Flags == "01" ? "1" : "0");
    }

    /// <summary>What a handler gets that is called with nothing.</summary>
    public static ReadOnlyMemory<byte> OrEmptyObject(byte[] body) => body.Length == 0 ? EmptyObject : body;

    private static readonly byte[] EmptyObject = "{}"u8.ToArray();

    public static LambdaEvent Event(HttpContext context, ReadOnlyMemory<byte> payload, string? client = null) =>
        new(payload, client, TraceOf(context));
}
