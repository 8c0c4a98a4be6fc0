using System.Globalization;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Repositories;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Berth.Server.ImageEndpoints;
using Berth.Server.Metrics;
using Berth.Server.RunEndpoints;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Calls;

/// <summary>
/// Starts runs: <c>/v1/call/</c> waits for the end, <c>/v1/tasks/</c> answers once the run is durable.
/// </summary>
internal sealed class CallEndpoints(
    IRunManager runs, ImageCatalog images, ServerOptions options, RunMeters meters, OverflowRoom overflow,
    ServerLifetime lifetime, TimeProvider time)
{
    /// <summary>A synchronous call, or a task where <c>Prefer: respond-async</c> asks for one.</summary>
    public async Task CallAsync(HttpContext context)
    {
        Preference preference = Preference.Parse(context.Request.Headers["Prefer"]);
        if (preference.RespondAsync)
        {
            await SubmitAsync(context, preference);
            return;
        }

        (RunSpec spec, OptionHeaders given) = Parse(context, RunKind.Call);
        AnswerStart start = RunRequest.AnswerStartOf(given);
        LimitBody(context, options.BodyLimit, "body-limit");
        PatientBody.LiftRate(context);
        await using LiveCall call = await runs.CallAsync(spec, Caller.Of(context).Name, context.RequestAborted);
        await new CallExchange(context, call, start, runs, overflow, lifetime, time).RunAsync();
    }

    /// <summary>A task.</summary>
    public Task TaskAsync(HttpContext context) =>
        SubmitAsync(context, Preference.Parse(context.Request.Headers["Prefer"]));

    private async Task SubmitAsync(HttpContext context, Preference preference)
    {
        (RunSpec spec, OptionHeaders given) = Parse(context, RunKind.Task);
        RunSubmission submission = new(spec, Caller.Of(context).Name, RunRequest.IdempotencyKey(given));
        LimitBody(context, options.InputLimit, "input-limit");
        PatientBody.Install(context, options.BodyIdleTimeout, time);
        long start = time.GetTimestamp();
        RunAcceptance acceptance = await runs.SubmitAsync(
            submission, context.Request.BodyReader.AsStream(), context.RequestAborted);
        meters.Accept.Record(time.GetElapsedTime(start));
        Run run = acceptance.Run;
        if (preference.RespondAsync)
        {
            context.Response.Headers["Preference-Applied"] = preference.ToString();
        }

        if (preference.Wait > TimeSpan.Zero)
        {
            run = await runs.WaitAsync(run.Id, preference.Wait, lifetime, context.RequestAborted);
        }

        context.Response.Headers[RunAnswer.RunId] = run.Id.Text;
        if (preference.Wait > TimeSpan.Zero && run.State.IsTerminal())
        {
            await AnswerEndedAsync(context, run);
            return;
        }

        context.Response.Headers.Location = "/v1/runs/" + run.Id.Text;
        if (!acceptance.IsNew)
        {
            context.Response.Headers["Idempotency-Replayed"] = "true";
        }

        await JsonBody.WriteAsync(context, runs.View(run), RunJson.Default.RunView, StatusCodes.Status202Accepted);
    }

    private async Task AnswerEndedAsync(HttpContext context, Run run)
    {
        if (run.State != RunState.Succeeded)
        {
            string tail = await RunLogTail.ReadAsync(runs, run.Id, context.RequestAborted);
            await RunAnswer.RefuseAsync(context, run, runs.View(run), tail);
            return;
        }

        RunAnswer.Describe(context.Response.Headers, run);
        RunContent content = await runs.ResultAsync(run.Id, context.RequestAborted);
        await ContentAnswer.WriteAsync(context, content, ranges: false);
    }

    private (RunSpec Spec, OptionHeaders Given) Parse(HttpContext context, RunKind kind)
    {
        ImageReference reference = RequestedImage.Parse(context);
        Digest digest = images.Resolve(reference).Digest;
        OptionHeaders given = OptionHeaders.Read(context.Request.Headers, kind);
        return (RunRequest.Parse(context.Request, given, kind, reference, digest, options), given);
    }

    private static void LimitBody(HttpContext context, ByteSize limit, string setting)
    {
        if (context.Request.ContentLength > limit.Bytes)
        {
            throw new BerthException(
                ErrorCode.BodyTooLarge,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"The body has {context.Request.ContentLength} bytes and may have {limit.Bytes} "
                    + $"(the operator's {setting})."));
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } feature)
        {
            feature.MaxRequestBodySize = limit.Bytes;
        }
    }
}
