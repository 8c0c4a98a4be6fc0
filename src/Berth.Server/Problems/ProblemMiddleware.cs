using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Oci.Content;
using Berth.Server.Calls;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Problems;

/// <summary>
/// Turns what went wrong into a problem document, or into an aborted connection where the response has begun: half an
/// answer must never look like a whole one.
/// </summary>
internal sealed partial class ProblemMiddleware(
    RequestDelegate next, TimeProvider time, ILogger<ProblemMiddleware> logger)
{
    /// <summary>As long as Kestrel reads a body that nobody wants in HTTP/1.1.</summary>
    private static readonly TimeSpan DropTime = TimeSpan.FromSeconds(5);

    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
            if (context.Response is
                {
                    HasStarted: false,
                    StatusCode: StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed,
                }
                && context.Response.ContentLength is null)
            {
                LetSend(context);
                await ProblemWriter.WriteAsync(context, Unrouted(context));
                await DropBodyAsync(context);
            }
        }
        catch (Exception error) when (
            context.RequestAborted.IsCancellationRequested || error is CallerGoneException)
        {
            // Nobody is left to answer.
            context.Abort();
        }
        catch (BerthException refusal)
        {
            await RefuseAsync(context, refusal);
        }
        catch (BadHttpRequestException malformed)
        {
            await RefuseAsync(context, ProblemWriter.Translate(malformed));
        }
        catch (IOException malformed) when (malformed.InnerException is OverflowException)
        {
            // Kestrel's word for a chunk whose size no number holds.
            await RefuseAsync(
                context,
                new BerthException(ErrorCode.InvalidRequest, "A chunk of the body has no valid size.", malformed));
        }
        catch (IOException fault) when (DurableFile.IsOfTheDisk(fault))
        {
            using IDisposable? scope = TraceContext.Scope(logger, context);
            LogDisk(context.Request.Method, context.Request.Path, fault);
            await RefuseAsync(context, DurableFile.Refusal("the data folder", fault));
        }
        catch (Exception defect)
        {
            using IDisposable? scope = TraceContext.Scope(logger, context);
            LogDefect(context.Request.Method, context.Request.Path, defect);
            await RefuseAsync(context, new BerthException(
                ErrorCode.Internal,
                $"Berth failed; the server's log has the cause under trace {context.TraceIdentifier}.", defect));
        }
    }

    private async Task RefuseAsync(HttpContext context, BerthException refusal)
    {
        if (context.Response.HasStarted)
        {
            using IDisposable? scope = TraceContext.Scope(logger, context);
            LogTorn(context.Request.Method, context.Request.Path, refusal.Message);
            context.Abort();
            return;
        }

        LetSend(context);
        context.Response.Clear();
        await ProblemWriter.WriteAsync(context, refusal);
        await DropBodyAsync(context);
    }

    /// <summary>
    /// Many clients read no answer before they have sent their whole body; to them a closed connection is all they see.
    /// Kestrel reads and drops what is within the limit of the body, for five seconds, so there is none here.
    /// </summary>
    private static void LetSend(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = null;
        }
    }

    /// <summary>
    /// In HTTP/2 Kestrel resets the stream of a body that nobody wants, without error; Debian 12's curl takes even that
    /// for a failure and forgets the answer.
    /// </summary>
    private async Task DropBodyAsync(HttpContext context)
    {
        if (!HttpProtocol.IsHttp2(context.Request.Protocol)
            || context.Features.Get<IHttpRequestBodyDetectionFeature>() is not { CanHaveBody: true })
        {
            return;
        }

        await context.Response.CompleteAsync();
        PipeReader body = context.Request.BodyReader;
        using CancellationTokenSource limit = new(DropTime, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, context.RequestAborted);
        try
        {
            ReadResult read;
            do
            {
                read = await body.ReadAsync(either.Token);
                body.AdvanceTo(read.Buffer.End);
            }
            while (!read.IsCompleted);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or InvalidOperationException
            or BerthException)
        {
            // Too slow, gone, or taken by whoever refused it: the answer is out.
        }
    }

    private static BerthException Unrouted(HttpContext context) =>
        context.Response.StatusCode == StatusCodes.Status405MethodNotAllowed
            ? new(
                ErrorCode.MethodNotAllowed,
                $"This address does not take {context.Request.Method}; it takes {context.Response.Headers.Allow}.")
            : new(ErrorCode.NotFound, "There is nothing at this address; /openapi/v1.json lists all there is.");

    [LoggerMessage(EventId = 100, Level = LogLevel.Error, Message = "{Method} {Path} failed by a defect")]
    private partial void LogDefect(string method, string path, Exception exception);

    [LoggerMessage(EventId = 102, Level = LogLevel.Error, Message = "{Method} {Path} failed by a fault of the disk")]
    private partial void LogDisk(string method, string path, Exception exception);

    [LoggerMessage(EventId = 101, Level = LogLevel.Warning,
        Message = "{Method} {Path}: the response was cut off after it had begun: {Reason}")]
    private partial void LogTorn(string method, string path, string reason);
}
