using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Forwarding;
using Berth.Server.Lambda;
using Berth.Server.Rollouts;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.LambdaEndpoints;

/// <summary>A request's path in the part that names the function and what is left with the query, both as the caller
/// wrote them.</summary>
internal sealed record RequestedPath(string Prefix, string Target);

/// <summary>Answers <c>/v1/functions/NAME</c> of functions with the lambda contract: with the event's answer as it is,
/// or with the HTTP answer that it describes.</summary>
internal sealed class LambdaForwarder(ServerOptions options, RevisionMeters meters, TimeProvider time)
{
    public async Task AnswerAsync(HttpContext context, LambdaSpec contract, LambdaRoute route, RequestedPath path)
    {
        LambdaBody.Limit(context, options.LambdaPayloadLimit, options.BodyIdleTimeout, time);
        await using LambdaCall call = await LambdaCall.BeginAsync(route, meters, time, context.RequestAborted);
        IHeaderDictionary headers = context.Response.Headers;
        headers[RunAnswer.Revision] = route.Revision.Number.ToString(CultureInfo.InvariantCulture);
        headers[Forwarder.InstanceHeader] = call.Instance.Id.Text;
        byte[] body = await LambdaBody.ReadAsync(context, call.Deadline);
        bool isHttp = contract.Events == LambdaEvents.Http;
        ReadOnlyMemory<byte> payload = isHttp
            ? HttpEvent.Write(
                EventRequest.Of(context, path), body, route.Revision.Function, call.Id, time.GetUtcNow())
            : LambdaBody.OrEmptyObject(body);
        LambdaBody.Check(payload.Length, options.LambdaPayloadLimit);
        LambdaAnswer answer = await call.InvokeAsync(LambdaBody.Event(context, payload));
        if (context.RequestAborted.IsCancellationRequested)
        {
            return;
        }

        switch (answer)
        {
            case LambdaAnswer.Whole whole when isHttp:
                await HttpEventAnswer.WriteAsync(context, route.Pool.Name, whole);
                break;
            case LambdaAnswer.Whole whole:
                context.Response.ContentType = whole.ContentType ?? "application/json";
                context.Response.ContentLength = whole.Body.Length;
                await WriteBodyAsync(context, whole.Body);
                break;
            case LambdaAnswer.Streamed streamed:
                await StreamAsync(context, call, route.Pool.Name, streamed, isHttp);
                break;
            case LambdaAnswer.Failed failed:
                throw new BerthException(
                    ErrorCode.RunFailed,
                    $"{route.Pool.Name} failed: {failed.Type}: {failed.Message} ('berth logs {call.Instance.Id}' may "
                    + "tell more.)");
        }
    }

    public static Task WriteBodyAsync(HttpContext context, ReadOnlyMemory<byte> body) =>
        HttpMethods.IsHead(context.Request.Method) || body.IsEmpty
            ? Task.CompletedTask
            : context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();

    private static async Task StreamAsync(
        HttpContext context, LambdaCall call, string name, LambdaAnswer.Streamed answer, bool isHttp)
    {
        if (isHttp && HttpEventAnswer.HasPrelude(answer.ContentType))
        {
            await HttpEventAnswer.ReadPreludeAsync(context, name, call, answer.Stream);
        }
        else
        {
            context.Response.ContentType = answer.ContentType ?? "application/octet-stream";
        }

        PipeWriter to = context.Response.BodyWriter;
        bool drops = HttpMethods.IsHead(context.Request.Method);
        while (true)
        {
            ReadResult read = await call.ReadAsync(answer.Stream);
            try
            {
                foreach (ReadOnlyMemory<byte> part in drops ? default : read.Buffer)
                {
                    await to.WriteAsync(part, context.RequestAborted);
                }
            }
            finally
            {
                answer.Stream.Body.AdvanceTo(read.Buffer.End);
            }

            if (read.IsCompleted)
            {
                answer.Stream.Finish();
                return;
            }
        }
    }
}
