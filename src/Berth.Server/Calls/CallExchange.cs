using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Problems;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Carries one synchronous call: the body into the program, its output into the response, both at once and in bounded
/// memory. Output that fits in the first buffer is held back until the program has ended, so that the answer has the true
/// status and a length; after that the response streams, ends with trailers, and is cut off where the run failed.
/// </summary>
internal sealed class CallExchange(HttpContext context, LiveCall call, IRunManager runs)
{
    /// <summary>Output held back before the response begins.</summary>
    public const int FirstBuffer = 64 * 1024;

    private const int Block = 256 * 1024;

    private readonly HttpResponse response = context.Response;

    public async Task RunAsync()
    {
        // 1. The caller's going away ends the program.
        CancellationToken gone = context.RequestAborted;
        await using CancellationTokenRegistration goneRegistration = gone.UnsafeRegister(
            static state => ((LiveCall)state!).Stop(EndReason.ClientGone), call);
        InputCopy input = new(context.Request.BodyReader, call.Input, () => call.Stop(EndReason.ClientGone));
        Task copying = input.RunAsync();
        byte[] first = ArrayPool<byte>.Shared.Rent(FirstBuffer + 1);
        try
        {
            // 2. Hold back what fits.
            int held = await FillAsync(first, gone);
            if (held <= FirstBuffer)
            {
                await AnswerWholeAsync(input, copying, first.AsMemory(0, held));
                return;
            }

            // 3. Stream the rest.
            await StreamAsync(first.AsMemory(0, held), gone);
            await FinishStreamAsync(input, copying);
        }
        finally
        {
            input.End();
            await copying;
            ArrayPool<byte>.Shared.Return(first);
        }
    }

    /// <summary>Reads until the output ends or the buffer holds one byte too many.</summary>
    private async Task<int> FillAsync(byte[] buffer, CancellationToken gone)
    {
        int held = 0;
        while (held <= FirstBuffer)
        {
            int count = await call.Output.ReadAsync(buffer.AsMemory(held), gone);
            if (count == 0)
            {
                break;
            }

            held += count;
        }

        return held;
    }

    private async Task AnswerWholeAsync(InputCopy input, Task copying, ReadOnlyMemory<byte> output)
    {
        Run run = await call.Completion;
        input.End();
        await copying;
        ThrowIfBroken(input);
        response.Headers[RunAnswer.RunId] = run.Id.Text;
        if (run.End!.Reason != EndReason.Completed)
        {
            await RunAnswer.RefuseAsync(context, run, runs.View(run), call.ErrorTail);
            return;
        }

        response.ContentType = call.Spec.ResultContentType;
        response.ContentLength = output.Length;
        RunAnswer.Describe(response.Headers, run);
        await response.BodyWriter.WriteAsync(output, context.RequestAborted);
    }

    private async Task StreamAsync(ReadOnlyMemory<byte> first, CancellationToken gone)
    {
        response.Headers[RunAnswer.RunId] = call.Id.Text;
        response.ContentType = call.Spec.ResultContentType;
        if (response.SupportsTrailers())
        {
            response.Headers.Trailer = RunAnswer.TrailerNames;
        }

        PipeWriter writer = response.BodyWriter;
        await response.StartAsync(gone);
        await writer.WriteAsync(first, gone);
        while (true)
        {
            int count = await call.Output.ReadAsync(writer.GetMemory(Block), gone);
            if (count == 0)
            {
                return;
            }

            writer.Advance(count);
            FlushResult flushed = await writer.FlushAsync(gone);
            if (flushed.IsCompleted)
            {
                throw new OperationCanceledException("The caller went away.");
            }
        }
    }

    private async Task FinishStreamAsync(InputCopy input, Task copying)
    {
        Run run = await call.Completion;
        input.End();
        await copying;
        if (run.End!.Reason != EndReason.Completed || input.Fault is not null)
        {
            // Without the end of the last chunk (or with RST_STREAM) nobody takes the torn result for a whole one.
            context.Abort();
            return;
        }

        if (response.SupportsTrailers())
        {
            HeaderDictionary trailers = [];
            RunAnswer.Describe(trailers, run);
            foreach ((string name, Microsoft.Extensions.Primitives.StringValues value) in trailers)
            {
                response.AppendTrailer(name, value);
            }
        }
    }

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
                    string.Create(CultureInfo.InvariantCulture, $"The body broke off: {input.Fault.Message}"), input.Fault);
        }
    }
}
