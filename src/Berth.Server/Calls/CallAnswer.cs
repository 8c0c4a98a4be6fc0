using System.Globalization;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Berth.Server.Metrics;
using Berth.Server.RunEndpoints;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Calls;

/// <summary>What a request asks to be run.</summary>
/// <param name="Given">Its options, for what concerns the answer.</param>
/// <param name="Asked">As in <see cref="RunSubmission"/>.</param>
/// <param name="Places">Of its kind, of which it needs one beside the server's; null for none.</param>
/// <param name="Revision">The label that says which revision of a function it is; null where it is of none.</param>
/// <param name="EventLimit">Of a task's input, where it must be less than others'; with the operator's setting.</param>
internal sealed record RunOrder(
    RunKind Kind, RunSpec Spec, OptionHeaders Given, RunSpec? Asked = null, RunPlaces? Places = null,
    string? Revision = null, (ByteSize Size, string Setting)? EventLimit = null)
{
    /// <summary>Says whose revision made the answer.</summary>
    public void Describe(RunSpec answered, IHeaderDictionary headers)
    {
        if (Revision is not null)
        {
            headers[RunAnswer.Revision] = answered.Labels[Revision];
        }
    }
}

/// <summary>Runs what a request asks for and answers it: with the output once the program has ended, or with the run's
/// record once it is durable.</summary>
internal sealed class CallAnswer(
    IRunManager runs, ServerOptions options, RunMeters meters, OverflowRoom overflow, ServerLifetime lifetime,
    TimeProvider time)
{
    public Task AnswerAsync(HttpContext context, RunOrder order, Preference preference) =>
        order.Kind == RunKind.Call ? CallAsync(context, order) : SubmitAsync(context, order, preference);

    private async Task CallAsync(HttpContext context, RunOrder order)
    {
        AnswerStart start = RunRequest.AnswerStartOf(order.Given);
        LimitBody(context, options.BodyLimit, "body-limit");
        PatientBody.LiftRate(context);
        order.Describe(order.Spec, context.Response.Headers);
        await using LiveCall call = await runs.CallAsync(
            order.Spec, Caller.Of(context).Name, order.Places, new BodyAhead(context.Request.BodyReader),
            context.RequestAborted);
        await new CallExchange(context, call, start, runs, overflow, lifetime, time).RunAsync();
    }

    private async Task SubmitAsync(HttpContext context, RunOrder order, Preference preference)
    {
        RunSubmission submission = new(
            order.Spec, Caller.Of(context).Name, RunRequest.IdempotencyKey(order.Given), order.Asked);
        (ByteSize most, string setting) = order.EventLimit is { } own && own.Size.Bytes < options.InputLimit.Bytes
            ? own
            : (options.InputLimit, "input-limit");
        LimitBody(context, most, setting);
        PatientBody.Install(context, options.BodyIdleTimeout, time);
        long start = time.GetTimestamp();
        RunAcceptance acceptance = await runs.SubmitAsync(
            submission, context.Request.BodyReader.AsStream(), context.RequestAborted);
        meters.Accept.Record(time.GetElapsedTime(start));
        Run run = acceptance.Run;
        // One that was sent before may have been another revision's.
        order.Describe(run.Spec, context.Response.Headers);
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

    /// <summary>Throws <c>BodyTooLarge</c> now or when the body turns out to be longer.</summary>
    public static void LimitBody(HttpContext context, ByteSize limit, string setting)
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
