using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Calls;
using Berth.Server.Runs;

namespace Berth.Server.Results;

/// <summary>
/// One run for all who wait for a <see cref="Flight"/>, from an input that is held to an output that is. Who made it
/// begin may leave; it ends early only when everybody has.
/// </summary>
/// <param name="spec">With what is left of its first caller's time.</param>
/// <param name="policy">Of the revision.</param>
/// <param name="key">What its result is kept by.</param>
internal sealed class Execution(
    IRunManager runs, ResultRoom room, Flights flights, Flight flight, RunSpec spec, RunPlaces? places,
    ResultPolicy policy, ResultKey key)
{
    private const int Block = 64 * 1024;

    /// <summary>Tells the flight's end exactly once. Never faults.</summary>
    /// <param name="input">All of the body; not disposed here.</param>
    public async Task RunAsync(HeldBytes input)
    {
        LiveCall call;
        try
        {
            call = await runs.CallAsync(spec, flight.Caller, places, flight.Abandoned);
        }
        catch (Exception error)
        {
            flights.End(flight, new FlightEnd.Refusal(error));
            return;
        }

        await using LiveCall owned = call;
        using HeldBytes output = new(room, SharedCalls.Largest);
        await using CancellationTokenRegistration left = flight.Abandoned.UnsafeRegister(
            static c => ((LiveCall)c!).Stop(EndReason.ClientGone), call);
        Task feeding = FeedAsync(call, input);
        if (await TakeAsync(call, output) is { IsEmpty: false } next)
        {
            flights.End(flight, new FlightEnd.Large(call, output, next));
            await flight.FirstAnswered.Task;
            if (!call.Completion.IsCompleted)
            {
                call.Stop(EndReason.ClientGone);
            }
        }
        else
        {
            await EndAsync(call, output);
        }

        await feeding;
    }

    private async Task EndAsync(LiveCall call, HeldBytes output)
    {
        Run run = await call.Completion;
        if (run.End!.Reason != EndReason.Completed)
        {
            flights.End(flight, new FlightEnd.Failure(run, call.ErrorTail));
            return;
        }

        KeptResult kept = new(run.Id, spec.ResultContentType, output);
        if (policy.KeepFor is { } time)
        {
            room.Keep(key, kept, time);
        }

        flights.End(flight, new FlightEnd.Result(kept, run));
    }

    /// <summary>A program that did not get all of it did not fail by itself; one that closed its input wanted no more.
    /// </summary>
    private static async Task FeedAsync(LiveCall call, HeldBytes input)
    {
        try
        {
            byte[] block = new byte[Math.Clamp(input.Length, 1, Block)];
            int count;
            for (long offset = 0; (count = await ReadAsync(call, input, block, offset)) > 0; offset += count)
            {
                await call.Input.WriteAsync(block.AsMemory(0, count), CancellationToken.None);
            }

            await call.Input.DisposeAsync();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // It closed its end before.
        }
    }

    private static async ValueTask<int> ReadAsync(LiveCall call, HeldBytes input, Memory<byte> block, long offset)
    {
        try
        {
            return await input.ReadAsync(block, offset, CancellationToken.None);
        }
        catch (IOException)
        {
            call.Stop(EndReason.PlatformFault);
            throw;
        }
    }

    /// <returns>What is not held any more; empty where all is.</returns>
    private static async Task<ReadOnlyMemory<byte>> TakeAsync(LiveCall call, HeldBytes output)
    {
        byte[] block = new byte[Block];
        try
        {
            int count;
            while ((count = await call.Output.ReadAsync(block, CancellationToken.None)) > 0)
            {
                if (!await output.TryAppendAsync(block.AsMemory(0, count), CancellationToken.None))
                {
                    return block.AsMemory(0, count);
                }
            }
        }
        catch (IOException)
        {
            call.Stop(EndReason.PlatformFault);
        }

        return default;
    }
}
