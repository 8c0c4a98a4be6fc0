using System.Buffers;
using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Problems;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Carries one synchronous call: the body into the program, its output into the response, both at once and in bounded
/// memory. Output that fits in the first buffer is held back until the program has ended, so that the answer has the
/// true status and a length; after that, or earlier where the caller asks for it, the response streams, ends with
/// trailers, and is cut off where the run failed.
/// </summary>
internal sealed class CallExchange(
    HttpContext context, LiveCall call, AnswerStart start, IRunManager runs, OverflowRoom overflow,
    ServerLifetime lifetime, TimeProvider time)
{
    /// <summary>Output held back before the response begins.</summary>
    public const int FirstBuffer = 64 * 1024;

    private readonly HttpResponse response = context.Response;
    private readonly int mostHeld = start == AnswerStart.Held ? FirstBuffer : 0;

    public async Task RunAsync()
    {
        // 1. The caller's going away ends the program.
        CancellationToken gone = context.RequestAborted;
        await using CancellationTokenRegistration goneRegistration = gone.UnsafeRegister(
            static state => ((LiveCall)state!).Stop(EndReason.ClientGone), call);
        InputCopy input = new(context, call, overflow, time);
        byte[] first = ArrayPool<byte>.Shared.Rent(FirstBuffer + 1);
        try
        {
            // 2. Hold back what fits.
            int held = start == AnswerStart.Program ? 0 : await FillAsync(first, gone);
            if (held <= mostHeld && start != AnswerStart.Program)
            {
                await AnswerWholeAsync(input, first.AsMemory(0, held));
            }
            else
            {
                // 3. Stream the rest.
                await StreamAsync(input, first.AsMemory(0, held), gone);
            }
        }
        finally
        {
            input.End();
            await input.Completion;
            ArrayPool<byte>.Shared.Return(first);
        }
    }

    /// <summary>Reads until the output ends or the buffer holds one byte too many.</summary>
    private async Task<int> FillAsync(byte[] buffer, CancellationToken gone)
    {
        int held = 0;
        while (held <= mostHeld)
        {
            int count = await call.Output.ReadAsync(buffer.AsMemory(held, FirstBuffer + 1 - held), gone);
            if (count == 0)
            {
                break;
            }

            held += count;
        }

        return held;
    }

    private async Task AnswerWholeAsync(InputCopy input, ReadOnlyMemory<byte> output)
    {
        Run run = await call.Completion;
        ThrowIfBroken(input);
        response.Headers[RunAnswer.RunId] = run.Id.Text;
        if (run.End!.Reason != EndReason.Completed)
        {
            await RunAnswer.RefuseAsync(context, run, runs.View(run), call.ErrorTail);
        }
        else
        {
            response.ContentType = call.Spec.ResultContentType;
            // Who has as much as was announced reads no more, as after the end.
            response.ContentLength = IsEndHeld(input) ? null : output.Length;
            RunAnswer.Describe(response.Headers, run);
            await response.BodyWriter.WriteAsync(output, context.RequestAborted);
        }

        await LetSendAsync(input);
    }

    private async Task StreamAsync(InputCopy input, ReadOnlyMemory<byte> first, CancellationToken gone)
    {
        response.Headers[RunAnswer.RunId] = call.Id.Text;
        response.ContentType = call.Spec.ResultContentType;
        AnswerWriter answer = await AnswerWriter.BeginAsync(response, RunAnswer.TrailerNames, gone);
        await new OutputCopy(call.Id, call.Output, answer, input.Completion, overflow, time, gone).RunAsync(first);
        Run run = await call.Completion;
        if (run.End!.Reason != EndReason.Completed || input.Fault is not null)
        {
            CutOff(context);
            return;
        }

        HeaderDictionary trailers = [];
        RunAnswer.Describe(trailers, run);
        await answer.FinishAsync(trailers);
        await LetSendAsync(input);
    }

    /// <summary>Without the last chunk (or with RST_STREAM) nobody takes the torn result for a whole one. In HTTP/1.1
    /// the connection is closed in order, because a reset could overtake what was sent and is to be read.</summary>
    public static void CutOff(HttpContext context)
    {
        if (HttpProtocol.IsHttp11(context.Request.Protocol)
            && context.Features.Get<IConnectionLifetimeNotificationFeature>() is { } connection)
        {
            connection.RequestClose();
            return;
        }

        context.Abort();
    }

    /// <summary>
    /// All of the answer is written. A client that reads none of it before its own body is sent would take a closed
    /// connection for a failure, so the rest is let come until the call's deadline.
    /// </summary>
    /// <remarks>HTTP/2 has a frame that ends the sending without error after the answer (RFC 9113, section 8.1).
    /// Clients of many years forget the answer over it, and, once it is whole, don't even read that they may send more
    /// (curl 7.88). So its end is held back where it is known that the body has an end.</remarks>
    private async Task LetSendAsync(InputCopy input)
    {
        TimeSpan left = call.TimeLeft;
        bool held = IsEndHeld(input);
        if (input.Completion.IsCompleted || left <= TimeSpan.Zero
            || (!held && HttpProtocol.IsHttp2(context.Request.Protocol)))
        {
            return;
        }

        // Of a refusal curl does read the end, and sends no more.
        if (held && response.StatusCode < StatusCodes.Status400BadRequest)
        {
            await response.BodyWriter.FlushAsync(context.RequestAborted);
        }
        else
        {
            await response.CompleteAsync();
        }

        await input.Completion.WaitAsync(left, time, lifetime.Stopping)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private bool IsEndHeld(InputCopy input) => !input.Completion.IsCompleted
        && HttpProtocol.IsHttp2(context.Request.Protocol) && context.Request.ContentLength is not null;

    private static void ThrowIfBroken(InputCopy input)
    {
        switch (input.Fault)
        {
            case null:
                return;
            case BadHttpRequestException malformed:
                throw ProblemWriter.Translate(malformed);
            default:
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    string.Create(CultureInfo.InvariantCulture, $"The body broke off: {input.Fault.Message}"),
                    input.Fault);
        }
    }
}
