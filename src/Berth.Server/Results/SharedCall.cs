using System.IO.Pipelines;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Results;

/// <summary>One call whose input is held, and its answer.</summary>
/// <param name="Spec">As the caller asked for it.</param>
/// <param name="Function">The revision's settings.</param>
/// <param name="Begun">When it came.</param>
internal sealed record SharedCall(
    HttpContext Context, RunSpec Spec, RunPlaces? Places, HeldBytes Input, ResultKey Key, FunctionSpec Function,
    CallWish Wish, long Begun)
{
    private const int Block = 64 * 1024;

    public HttpResponse Response => Context.Response;

    public CancellationToken Gone => Context.RequestAborted;

    public string Caller { get; } = Access.Caller.Of(Context).Name;

    public ResultPolicy Policy => Function.Results!;

    public int MaxWaiting => Function.MaxWaiting;

    /// <summary>Answers with a result that is held.</summary>
    public async Task WriteAsync(KeptResult result, string how)
    {
        Response.Headers[SharedCalls.Header] = how;
        Response.Headers[RunAnswer.RunId] = result.Run.Text;
        Response.ContentType = result.ContentType;
        Response.ContentLength = result.Output.Length;
        PipeWriter to = Response.BodyWriter;
        int count;
        for (long offset = 0; (count = await result.Output.ReadAsync(to.GetMemory(Block), offset, Gone)) > 0;
            offset += count)
        {
            to.Advance(count);
            if ((await to.FlushAsync(Gone)).IsCompleted)
            {
                throw new CallerGoneException();
            }
        }
    }

    /// <summary>Answers with the output of a call that goes on: its trailers tell how it ended.</summary>
    public async Task StreamAsync(FlightEnd.Large large)
    {
        LiveCall call = large.Call;
        Response.Headers[SharedCalls.Header] = "miss";
        Response.Headers[RunAnswer.RunId] = call.Id.Text;
        Response.ContentType = call.Spec.ResultContentType;
        AnswerWriter answer = await AnswerWriter.BeginAsync(Response, RunAnswer.TrailerNames, Gone);
        int count;
        for (long offset = 0; (count = await large.Held.ReadAsync(answer.GetMemory(), offset, Gone)) > 0;
            offset += count)
        {
            answer.Advance(count);
            await answer.FlushAsync();
        }

        answer.Write(large.Next.Span);
        await answer.FlushAsync();
        while ((count = await call.Output.ReadAsync(answer.GetMemory(), Gone)) > 0)
        {
            answer.Advance(count);
            await answer.FlushAsync();
        }

        Run run = await call.Completion;
        if (run.End!.Reason != EndReason.Completed)
        {
            CallExchange.CutOff(Context);
            return;
        }

        HeaderDictionary trailers = [];
        RunAnswer.Describe(trailers, run);
        await answer.FinishAsync(trailers);
    }
}
