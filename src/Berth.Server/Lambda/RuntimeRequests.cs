using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Resources;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Lambda;

/// <summary>Answers the four requests of the Runtime API. Whatever the program sends concerns its own instance alone,
/// and is bounded.</summary>
/// <param name="limit">Of an answer that does not stream.</param>
internal sealed class RuntimeRequests(ByteSize limit, TimeProvider time)
{
    /// <summary>Of a document that tells an error; AWS's own limit is the same.</summary>
    public const int MaxDocument = 256 * 1024;

    /// <summary>What is refused is answered late: all else is bounded by the calls there are, and a program could keep
    /// the server busy with this.</summary>
    private static readonly TimeSpan RefusalPause = TimeSpan.FromMilliseconds(100);

    private const string Root = "/2018-06-01/runtime/";
    private const string ModeHeader = "Lambda-Runtime-Function-Response-Mode";

    /// <summary>What curl and wget say of a body when they are told nothing.</summary>
    private const string NobodysType = "application/x-www-form-urlencoded";

    private static readonly byte[] Taken = "{\"status\":\"OK\"}\n"u8.ToArray();

    /// <summary>Never faults: what went wrong is the answer.</summary>
    public async Task AnswerAsync(HttpContext context)
    {
        try
        {
            await RouteAsync(context, context.Features.GetRequiredFeature<RuntimeSession>());
        }
        catch (RuntimeRefusal refusal)
        {
            await RefuseAsync(context, refusal.Status, refusal.Type, refusal.Message);
        }
        catch (BadHttpRequestException malformed)
        {
            await RefuseAsync(context, malformed.StatusCode, "InvalidRequest", malformed.Message);
        }
        catch (Exception error) when (
            error is IOException or OperationCanceledException or ConnectionAbortedException or ObjectDisposedException)
        {
            // Nobody is left to answer.
            context.Abort();
        }
    }

    private Task RouteAsync(HttpContext context, RuntimeSession session)
    {
        string path = context.Request.Path.Value ?? "";
        string[] words = path.StartsWith(Root, StringComparison.Ordinal) ? path[Root.Length..].Split('/') : [];
        string method = context.Request.Method;
        return words switch
        {
            ["invocation", "next"] when method == "GET" => NextAsync(context, session),
            ["invocation", { } id, "response"] when method == "POST" => ResponseAsync(context, session, id),
            ["invocation", { } id, "error"] when method == "POST" => ErrorAsync(context, session, id),
            ["init", "error"] when method == "POST" => InitErrorAsync(context, session),
            _ => throw new RuntimeRefusal(
                StatusCodes.Status404NotFound, "NotFound", $"The Runtime API has no {method} of this path."),
        };
    }

    private static async Task NextAsync(HttpContext context, RuntimeSession session)
    {
        Invocation invocation = await session.NextAsync(context.RequestAborted);
        HttpResponse response = context.Response;
        IHeaderDictionary headers = response.Headers;
        headers["Lambda-Runtime-Aws-Request-Id"] = invocation.Id;
        headers["Lambda-Runtime-Deadline-Ms"] =
            invocation.Deadline.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
        headers["Lambda-Runtime-Invoked-Function-Arn"] = invocation.Arn;
        headers["Lambda-Runtime-Trace-Id"] = invocation.Event.Trace;
        if (invocation.Event.ClientContext is { } client)
        {
            headers["Lambda-Runtime-Client-Context"] = client;
        }

        response.ContentType = "application/json";
        response.ContentLength = invocation.Event.Payload.Length;
        await response.Body.WriteAsync(invocation.Event.Payload, context.RequestAborted);
    }

    private async Task ResponseAsync(HttpContext context, RuntimeSession session, string id)
    {
        Invocation invocation = session.BeginAnswer(id);
        try
        {
            if (context.Request.Headers[ModeHeader].ToString() is { Length: > 0 } mode)
            {
                if (!mode.Equals("streaming", StringComparison.OrdinalIgnoreCase))
                {
                    throw new RuntimeRefusal(
                        StatusCodes.Status400BadRequest, "InvalidResponseMode", $"{ModeHeader} knows streaming alone.");
                }

                await StreamAsync(context, invocation);
            }
            else
            {
                await TakeAsync(context, invocation);
            }
        }
        finally
        {
            session.EndAnswer(invocation);
        }

        await ConfirmAsync(context);
    }

    private async Task TakeAsync(HttpContext context, Invocation invocation)
    {
        try
        {
            byte[] body = await ReadAsync(context, limit.Bytes);
            invocation.TryAnswer(new LambdaAnswer.Whole(ContentTypeOf(context), body));
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            invocation.TryAnswer(FunctionError.Of(
                "Function.ResponseSizeTooLarge",
                $"Response payload size exceeded maximum allowed payload size ({limit.Bytes} bytes)."));
            throw new RuntimeRefusal(
                StatusCodes.Status413PayloadTooLarge, "RequestEntityTooLarge",
                $"Exceeded maximum allowed payload size ({limit.Bytes} bytes).");
        }
    }

    /// <summary>As long as the caller takes of it; the request is the stream.</summary>
    private static async Task StreamAsync(HttpContext context, Invocation invocation)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        AnswerStream stream = new(context.Request);
        if (invocation.TryAnswer(new LambdaAnswer.Streamed(ContentTypeOf(context), stream)))
        {
            await stream.Finished;
        }
    }

    private static async Task ErrorAsync(HttpContext context, RuntimeSession session, string id)
    {
        Invocation invocation = session.BeginAnswer(id);
        try
        {
            invocation.TryAnswer(await ReadErrorAsync(context));
        }
        finally
        {
            session.EndAnswer(invocation);
        }

        await ConfirmAsync(context);
    }

    private static async Task InitErrorAsync(HttpContext context, RuntimeSession session)
    {
        session.FailInit(await ReadErrorAsync(context));
        await ConfirmAsync(context);
    }

    private static async Task<LambdaAnswer.Failed> ReadErrorAsync(HttpContext context)
    {
        string type = context.Request.Headers[AnswerStream.ErrorType].ToString();
        return FunctionError.Of(type, await ReadAsync(context, MaxDocument));
    }

    /// <exception cref="BadHttpRequestException">413 beyond <paramref name="most"/>.</exception>
    private static async Task<byte[]> ReadAsync(HttpContext context, long most)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = most;
        }

        PipeReader body = context.Request.BodyReader;
        while (true)
        {
            ReadResult read = await body.ReadAsync(context.RequestAborted);
            if (read.IsCompleted)
            {
                byte[] all = read.Buffer.ToArray();
                body.AdvanceTo(read.Buffer.End);
                return all;
            }

            body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    private static string? ContentTypeOf(HttpContext context) =>
        context.Request.ContentType is { Length: > 0 } type && type != NobodysType ? type : null;

    private static Task ConfirmAsync(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status202Accepted;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = Taken.Length;
        return context.Response.Body.WriteAsync(Taken, context.RequestAborted).AsTask();
    }

    private async Task RefuseAsync(HttpContext context, int status, string type, string message)
    {
        await Task.Delay(RefusalPause, time, CancellationToken.None);
        if (context.Response.HasStarted)
        {
            context.Abort();
            return;
        }

        ReadOnlyMemory<byte> body = FunctionError.Write(type, message);
        context.Response.Clear();
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body);
    }
}
