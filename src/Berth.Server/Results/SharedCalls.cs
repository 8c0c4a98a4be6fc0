using System.Globalization;
using System.Runtime.ExceptionServices;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Forwarding;
using Berth.Server.Hosting;
using Berth.Server.Runs;
using Berth.Server.Secrets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Results;

/// <summary>
/// Calls of functions whose results answer more than the call they were made for: out of what is kept, with the
/// execution of an equal call that is under way, or with one of their own. Only that one is a run and is accounted.
/// The room's header type.
/// </summary>
internal sealed class SharedCalls(
    IRunManager runs, CallAnswer plain, ServerOptions options, ResultRoom room, SharedCallCounts counts,
    SecretVault secrets, TimeProvider time)
{
    public const string Header = "Berth-Cache";

    /// <summary>Bytes of an input that has a key, and of a result that is held. With more, a call is one as any other.
    /// </summary>
    public const long Largest = 16 * 1024 * 1024;

    /// <summary>How often a call waits for others before it is executed by itself.</summary>
    private const int MostWaits = 2;

    private readonly Flights flights = new();

    public async Task AnswerAsync(HttpContext context, RunOrder order, Revision revision)
    {
        CallWish wish = CallWish.Of(context.Request.Headers.CacheControl);
        if (wish.KeepsNothing || RunRequest.AnswerStartOf(order.Given) != AnswerStart.Held)
        {
            // Nor is an answer shared that is to be read while it is written.
            await plain.AnswerAsync(context, order, default);
            return;
        }

        long begun = time.GetTimestamp();
        CallAnswer.LimitBody(context, options.BodyLimit, "body-limit");
        PatientBody.Install(context, options.BodyIdleTimeout, time);
        order.Describe(order.Spec, context.Response.Headers);
        using HeldInput input = await ReceiveAsync(context, order);
        if (input.Hash is null)
        {
            context.Features.Set(input.Before(context.Request.BodyReader));
            await plain.AnswerAsync(context, order with { Spec = Rest(order.Spec, begun) }, default);
            return;
        }

        RunSpec spec = WithLength(order.Spec, input.Bytes.Length);
        SharedCall call = new(
            context, spec, order.Places, input.Bytes, ResultKey.Of(spec, revision, secrets, input.Hash),
            revision.Spec, wish, begun);
        if (!await TryAnswerKeptAsync(call))
        {
            await AnswerTogetherAsync(call);
        }
    }

    private async Task<HeldInput> ReceiveAsync(HttpContext context, RunOrder order)
    {
        using CancellationTokenSource late = new(order.Spec.Timeout, time);
        using CancellationTokenSource any = CancellationTokenSource.CreateLinkedTokenSource(
            late.Token, context.RequestAborted);
        try
        {
            return await HeldInput.ReceiveAsync(context.Request.BodyReader, new HeldBytes(room, Largest), any.Token);
        }
        catch (OperationCanceledException error) when (late.IsCancellationRequested)
        {
            throw Late(order.Spec, "for its body", error);
        }
    }

    private async Task<bool> TryAnswerKeptAsync(SharedCall call)
    {
        if (call.Policy.KeepFor is null || call.Wish.IsAnew || room.Find(call.Key) is not { } kept)
        {
            return false;
        }

        using HeldBytes hold = kept.Result.Output;
        if (kept.Age > call.Wish.MaxAge)
        {
            return false;
        }

        counts.Hit();
        call.Response.Headers.Age = ((long)kept.Age.TotalSeconds).ToString(CultureInfo.InvariantCulture);
        await call.WriteAsync(kept.Result, "hit");
        return true;
    }

    private async Task AnswerTogetherAsync(SharedCall call)
    {
        int waits = call.Policy.SingleFlight && !call.Wish.IsAnew ? MostWaits : 0;
        for (; waits > 0; waits--)
        {
            if (flights.Join(call.Key, call.Caller, call.MaxWaiting, out Flight flight))
            {
                await ExecuteAsync(call, flight);
                return;
            }

            FlightEnd end = await WaitAsync(call, flight);
            if (await TryAnswerAsync(call, flight, end))
            {
                return;
            }

            waits = end is FlightEnd.Large ? 1 : waits;
        }

        await ExecuteAsync(call, flights.Alone(call.Caller));
    }

    private async Task<FlightEnd> WaitAsync(SharedCall call, Flight flight)
    {
        counts.Wait(1);
        try
        {
            return await flight.WaitAsync(Left(call.Spec, call.Begun), time, call.Gone);
        }
        catch (TimeoutException error)
        {
            throw Late(call.Spec, "for the result of an equal call", error);
        }
        finally
        {
            counts.Wait(-1);
        }
    }

    /// <summary>Answers with what became of an equal call; false where that says nothing of this one.</summary>
    private async Task<bool> TryAnswerAsync(SharedCall call, Flight flight, FlightEnd end)
    {
        switch (end)
        {
            case FlightEnd.Result result:
                using (HeldBytes hold = result.Kept.Output)
                {
                    counts.Coalesce();
                    await call.WriteAsync(result.Kept, "coalesced");
                }

                return true;
            case FlightEnd.Failure { IsOfProgram: true } failure:
                counts.Coalesce();
                await RefuseAsync(call, failure, "coalesced");
                return true;
            // Another caller may have had its share of the places, and this one not.
            case FlightEnd.Refusal { Error: BerthException refusal }
                when flight.Caller == call.Caller
                && refusal.Code is not (ErrorCode.RunTimedOut or ErrorCode.RunCanceled or ErrorCode.Internal):
                throw new BerthException(refusal.Code, refusal.Message, refusal) { RetryAfter = refusal.RetryAfter };
            default:
                return false;
        }
    }

    /// <summary>A run that this call begins, for itself and all who join it.</summary>
    private async Task ExecuteAsync(SharedCall call, Flight owned)
    {
        using Flight flight = owned;
        counts.Miss();
        Task execution;
        try
        {
            execution = new Execution(
                runs, room, flights, flight, Rest(call.Spec, call.Begun), call.Places, call.Policy, call.Key)
                .RunAsync(call.Input);
        }
        catch (BerthException error)
        {
            flights.End(flight, new FlightEnd.Refusal(error));
            throw;
        }

        try
        {
            // The run has the call's time itself.
            FlightEnd end = await flight.WaitAsync(Timeout.InfiniteTimeSpan, time, call.Gone);
            await AnswerOwnAsync(call, end);
        }
        finally
        {
            flight.FirstAnswered.TrySetResult();
            // Its caller may have left, others not; and its input is held no longer than here.
            await execution;
        }
    }

    private async Task AnswerOwnAsync(SharedCall call, FlightEnd end)
    {
        switch (end)
        {
            case FlightEnd.Result result:
                using (HeldBytes hold = result.Kept.Output)
                {
                    RunAnswer.Describe(call.Response.Headers, result.Run);
                    await call.WriteAsync(result.Kept, "miss");
                }

                break;
            case FlightEnd.Failure failure:
                await RefuseAsync(call, failure, "miss");
                break;
            case FlightEnd.Large large:
                await call.StreamAsync(large);
                break;
            case FlightEnd.Refusal refusal:
                ExceptionDispatchInfo.Throw(refusal.Error);
                break;
        }
    }

    private Task RefuseAsync(SharedCall call, FlightEnd.Failure failure, string how)
    {
        call.Response.Headers[Header] = how;
        call.Response.Headers[RunAnswer.RunId] = failure.Run.Id.Text;
        return RunAnswer.RefuseAsync(call.Context, failure.Run, runs.View(failure.Run), failure.ErrorTail);
    }

    /// <summary>Whether the length was announced or not is no difference.</summary>
    public static RunSpec WithLength(RunSpec spec, long length)
    {
        Dictionary<string, string> environment = new(spec.Environment);
        environment.Remove("CONTENT_LENGTH");
        if (length > 0)
        {
            environment["CONTENT_LENGTH"] = length.ToString(CultureInfo.InvariantCulture);
        }

        return spec with { Environment = environment };
    }

    private RunSpec Rest(RunSpec spec, long begun)
    {
        TimeSpan left = Left(spec, begun);
        return left > TimeSpan.Zero ? spec with { Timeout = left } : throw Late(spec, "before its program began", null);
    }

    private TimeSpan Left(RunSpec spec, long begun) => spec.Timeout - time.GetElapsedTime(begun);

    private static BerthException Late(RunSpec spec, string what, Exception? error) => new(
        ErrorCode.RunTimedOut,
        $"The call waited all of its {RunSentences.Span(spec.Timeout)} {what}: raise the timeout.", error);
}
