using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Forwarding;
using Berth.Server.FunctionEndpoints;
using Berth.Server.Functions;
using Berth.Server.Instances;
using Berth.Server.Lambda;
using Berth.Server.Rollouts;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.LambdaEndpoints;

/// <summary>AWS Lambda's Invoke, for its own clients: <c>POST /2015-03-31/functions/NAME/invocations</c>.</summary>
internal sealed class InvokeEndpoint(
    FunctionManager functions, InstanceManager instances, IRunManager runs, RevisionMeters meters,
    ServerOptions options, TimeProvider time)
{
    private const string TypeHeader = "X-Amz-Invocation-Type";

    /// <summary>Of the context's base 64; AWS's own limit.</summary>
    private const int MaxClientContext = 3583;

    private const int MaxLog = 4096;

    public async Task InvokeAsync(HttpContext context)
    {
        (Function function, Revision revision) = Choose(context.Request);
        switch (context.Request.Headers[TypeHeader].ToString())
        {
            case "" or "RequestResponse":
                await AnswerAsync(context, function, revision);
                break;
            case "DryRun":
                context.Response.StatusCode = StatusCodes.Status204NoContent;
                break;
            case "Event":
                await SubmitAsync(context, function, revision);
                break;
            default:
                throw new BerthException(
                    ErrorCode.InvalidRequest, $"{TypeHeader} is RequestResponse, DryRun or Event.");
        }
    }

    /// <summary>Accepted once it is durable. Tried again, dropped and handed on as the revision says.</summary>
    private async Task SubmitAsync(HttpContext context, Function function, Revision revision)
    {
        LambdaBody.Limit(context, options.LambdaPayloadLimit, options.BodyIdleTimeout, time);
        ClientContextOf(context.Request);
        ReadOnlyMemory<byte> payload = LambdaBody.OrEmptyObject(
            await LambdaBody.ReadAsync(context, context.RequestAborted));
        if (!IsJson(payload.Span))
        {
            await RefuseTextAsync(context);
            return;
        }

        string client = context.Request.Headers[KeptEvent.ClientContextHeader].ToString();
        RunSpec task = KeptEvent.Task(
            function, revision, LambdaBody.TraceOf(context), client.Length == 0 ? null : client);
        using MemoryStream input = new(payload.ToArray(), writable: false);
        RunAcceptance accepted = await runs.SubmitAsync(
            new RunSubmission(task, Caller.Of(context).Name, null, null), input, context.RequestAborted);
        IHeaderDictionary headers = context.Response.Headers;
        headers[AwsApi.RequestId] = KeptEvent.IdOf(accepted.Run.Id).ToString();
        headers[RunAnswer.RunId] = accepted.Run.Id.Text;
        headers["X-Amz-Executed-Version"] = revision.Number.ToString(CultureInfo.InvariantCulture);
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    private static Task RefuseTextAsync(HttpContext context) => AwsProblem.WriteAsync(
        context, StatusCodes.Status400BadRequest, "InvalidRequestContentException",
        "Could not parse request body into json: an event of Lambda is JSON.");

    private (Function Function, Revision Revision) Choose(HttpRequest request)
    {
        (string name, string? qualifier) = AwsApi.Parse((string)request.RouteValues["name"]!);
        string? asked = request.Query["Qualifier"] is [{ Length: > 0 } given] ? given : qualifier;
        (FunctionEntry entry, Revision revision) = functions.Choose(
            AwsApi.Reference(name, asked), request.HttpContext);
        return revision.Spec.Service?.Lambda is not null
            ? (entry.Record, revision)
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"Function '{entry.Record.Name}' has not the lambda contract: call it at "
                + $"/v1/functions/{entry.Record.Name}.");
    }

    private async Task AnswerAsync(HttpContext context, Function function, Revision revision)
    {
        LambdaBody.Limit(context, options.LambdaPayloadLimit, options.BodyIdleTimeout, time);
        string? client = ClientContextOf(context.Request);
        LambdaRoute route = new(
            instances.Of(function, revision), new RevisionKey(function.Name, revision.Number),
            revision.Spec.Run.Timeout, Caller.Of(context).Name);
        context.Response.Headers["X-Amz-Executed-Version"] =
            revision.Number.ToString(CultureInfo.InvariantCulture);
        LambdaCall call;
        try
        {
            call = await LambdaCall.BeginAsync(route, meters, time, context.RequestAborted);
        }
        catch (BerthException error) when (IsOfFunction(error))
        {
            await FailAsync(context, FunctionError.Of(TypeOf(error.Code), error.Message));
            return;
        }

        await using (call)
        {
            context.Response.Headers[AwsApi.RequestId] = call.Id;
            context.Response.Headers[Forwarder.InstanceHeader] = call.Instance.Id.Text;
            ReadOnlyMemory<byte> payload = LambdaBody.OrEmptyObject(await LambdaBody.ReadAsync(context, call.Deadline));
            if (!IsJson(payload.Span))
            {
                await RefuseTextAsync(context);
                return;
            }

            LambdaAnswer answer = await GetAsync(call, LambdaBody.Event(context, payload, client));
            if (!context.RequestAborted.IsCancellationRequested)
            {
                await AddLogAsync(context, call, revision);
                await WriteAsync(context, answer);
            }
        }
    }

    /// <summary>A program that ends, or overruns, is an answer of the function here; streams are taken whole.</summary>
    private async Task<LambdaAnswer> GetAsync(LambdaCall call, LambdaEvent content)
    {
        try
        {
            LambdaAnswer answer = await call.InvokeAsync(content);
            return answer is LambdaAnswer.Streamed streamed ? await TakeAsync(call, streamed) : answer;
        }
        catch (BerthException error) when (IsOfFunction(error))
        {
            return FunctionError.Of(TypeOf(error.Code), $"RequestId: {call.Id} Error: {error.Message}");
        }
    }

    private async Task<LambdaAnswer> TakeAsync(LambdaCall call, LambdaAnswer.Streamed streamed)
    {
        using MemoryStream whole = new();
        ReadResult read;
        do
        {
            read = await call.ReadAsync(streamed.Stream);
            if (whole.Length + read.Buffer.Length > options.LambdaPayloadLimit.Bytes)
            {
                streamed.Stream.Body.AdvanceTo(read.Buffer.End);
                return FunctionError.Of(
                    "Function.ResponseSizeTooLarge",
                    "Response payload size exceeded maximum allowed payload size "
                    + $"({options.LambdaPayloadLimit.Bytes} bytes).");
            }

            foreach (ReadOnlyMemory<byte> part in read.Buffer)
            {
                whole.Write(part.Span);
            }

            streamed.Stream.Body.AdvanceTo(read.Buffer.End);
        }
        while (!read.IsCompleted);
        streamed.Stream.Finish();
        return new LambdaAnswer.Whole(streamed.ContentType, whole.ToArray());
    }

    private static Task WriteAsync(HttpContext context, LambdaAnswer answer)
    {
        switch (answer)
        {
            case LambdaAnswer.Whole whole:
                context.Response.ContentType = "application/json";
                context.Response.ContentLength = whole.Body.Length;
                return LambdaForwarder.WriteBodyAsync(context, whole.Body);
            case LambdaAnswer.Failed failed:
                return FailAsync(context, failed);
            default:
                throw new InvalidOperationException("A stream was not taken.");
        }
    }

    private static Task FailAsync(HttpContext context, LambdaAnswer.Failed failed)
    {
        context.Response.Headers["X-Amz-Function-Error"] = "Unhandled";
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = failed.Document.Length;
        return LambdaForwarder.WriteBodyAsync(context, failed.Document);
    }

    /// <summary>What the program wrote, between the lines that AWS puts around it.</summary>
    private static async Task AddLogAsync(HttpContext context, LambdaCall call, Revision revision)
    {
        if (context.Request.Headers["X-Amz-Log-Type"] != "Tail")
        {
            return;
        }

        string said = await call.LogAsync();
        string gap = said.Length == 0 || said.EndsWith('\n') ? "" : "\n";
        string peak = call.Instance.Live.Measure()?.PeakMemory is { } memory
            ? string.Create(CultureInfo.InvariantCulture, $"\tMax Memory Used: {memory.Bytes / (1024 * 1024)} MB")
            : "";
        byte[] log = Encoding.UTF8.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"START RequestId: {call.Id} Version: {revision.Number}\n{said}{gap}END RequestId: {call.Id}\n"
            + $"REPORT RequestId: {call.Id}\tDuration: {call.Elapsed.TotalMilliseconds:0.00} ms\t"
            + $"Memory Size: {revision.Spec.Run.Limits.Memory.Bytes / (1024 * 1024)} MB{peak}\n"));
        context.Response.Headers["X-Amz-Log-Result"] =
            Convert.ToBase64String(log, Math.Max(0, log.Length - MaxLog), Math.Min(log.Length, MaxLog));
    }

    private static string? ClientContextOf(HttpRequest request)
    {
        string text = request.Headers[KeptEvent.ClientContextHeader].ToString();
        if (text.Length == 0)
        {
            return null;
        }

        byte[] bytes = new byte[Math.Min(text.Length, MaxClientContext)];
        return text.Length <= MaxClientContext && Convert.TryFromBase64String(text, bytes, out int count)
            && Encoding.UTF8.GetString(bytes, 0, count) is var json && !json.Any(char.IsControl)
            ? json
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"{KeptEvent.ClientContextHeader} is JSON on one line in base 64, {MaxClientContext} characters at "
                + "most.");
    }

    private static bool IsJson(ReadOnlySpan<byte> text)
    {
        Utf8JsonReader reader = new(text);
        try
        {
            while (reader.Read())
            {
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Whether the program is to blame. One that waited for an instance all its time never had one.</summary>
    private static bool IsOfFunction(BerthException error) => error.RetryAfter is null && error.Code
        is ErrorCode.RunFailed or ErrorCode.RunTimedOut or ErrorCode.RunOutOfMemory or ErrorCode.RunEntryPointMissing
        or ErrorCode.RunNotRunnable;

    private static string TypeOf(ErrorCode code) => code switch
    {
        ErrorCode.RunTimedOut => "Sandbox.Timedout",
        ErrorCode.RunOutOfMemory => "Runtime.OutOfMemory",
        ErrorCode.RunEntryPointMissing or ErrorCode.RunNotRunnable => "Runtime.InvalidEntrypoint",
        _ => "Runtime.ExitError",
    };
}
