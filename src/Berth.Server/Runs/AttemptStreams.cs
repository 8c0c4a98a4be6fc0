using System.Buffers;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Spool;

namespace Berth.Server.Runs;

/// <summary>Feeds a task's program its kept input and keeps what it writes, three copies at once.</summary>
internal sealed class AttemptStreams
{
    private const int BufferSize = 64 * 1024;

    private readonly IAttempt attempt;
    private readonly OutputLimitStream output;

    public AttemptStreams(RunRooms rooms, Run run, IAttempt attempt, byte[]? inlineInput, SpoolWriter result)
    {
        this.attempt = attempt;
        output = new OutputLimitStream(
            attempt.Output, run.Spec.OutputLimit, () => attempt.Stop(EndReason.OutputLimit, TimeSpan.Zero));
        Task input = FeedAsync(rooms, run, inlineInput);
        Task errors = new ErrorStreamCopy(attempt.Error, rooms.Logs.Append(run.Id)).Completion;
        Completion = Task.WhenAll(input, KeepAsync(result), errors);
    }

    /// <summary>Completes when the program's output was kept and nothing is fed any more. Never faults.</summary>
    public Task Completion { get; }

    public bool OutputPassed => output.Passed;

    /// <summary>What on our side went wrong with the streams, as a sentence; null when nothing did.</summary>
    public string? Fault { get; private set; }

    private async Task FeedAsync(RunRooms rooms, Run run, byte[]? inlineInput)
    {
        try
        {
            await using Stream target = attempt.Input;
            // The program may end without having read it all; nobody reads the pipe then.
            using CancellationTokenSource ended = new();
            Task feeding = FeedAsync(target, rooms.Spool, run, inlineInput, ended.Token);
            if (await Task.WhenAny(feeding, attempt.Completion) != feeding)
            {
                await ended.CancelAsync();
            }

            await feeding;
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            Fault = "Its input is no longer in the spool.";
            attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The program closed its input or ended: its right.
        }
    }

    private static async Task FeedAsync(Stream target, RunSpool spool, Run run, byte[]? inlineInput,
        CancellationToken ended)
    {
        if (inlineInput is not null)
        {
            await target.WriteAsync(inlineInput, ended);
        }
        else if (run.Input.Place == BodyPlace.Spooled)
        {
            await using FileStream source = spool.OpenInput(run.Id);
            await source.CopyToAsync(target, BufferSize, ended);
        }
    }

    private async Task KeepAsync(SpoolWriter result)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            int count;
            while ((count = await output.ReadAsync(buffer, CancellationToken.None)) > 0)
            {
                await result.WriteAsync(buffer.AsMemory(0, count), CancellationToken.None);
            }
        }
        catch (BerthException full)
        {
            Fault = full.Message;
            attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            Fault = $"Its output could not be kept: {error.Message}";
            attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
