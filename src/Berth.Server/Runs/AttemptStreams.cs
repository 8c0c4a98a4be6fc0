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
        await using Stream target = attempt.Input;
        // The program may end without having read it all; nobody reads the pipe then.
        using CancellationTokenSource ended = new();
        Task feeding = FeedAsync(target, rooms, run, inlineInput, ended.Token);
        if (await Task.WhenAny(feeding, attempt.Completion) != feeding)
        {
            await ended.CancelAsync();
        }

        await feeding;
    }

    private async Task FeedAsync(Stream target, RunRooms rooms, Run run, byte[]? inlineInput, CancellationToken ended)
    {
        long read = 0;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            await using Stream source = inlineInput is null && run.Input.Place == BodyPlace.Spooled
                ? await OpenAsync(rooms, run, ended)
                : new MemoryStream(inlineInput ?? [], writable: false);
            int count;
            while ((count = await source.ReadAsync(buffer, ended)) > 0)
            {
                read += count;
                if (!await TryWriteAsync(target, buffer.AsMemory(0, count), ended))
                {
                    return;
                }
            }

            if (read < run.Input.Length)
            {
                Break($"Only {read:N0} of the {run.Input.Length:N0} bytes of its input are left.");
            }
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            Break("Its input is no longer in the spool.");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Break($"Its input can't be read: {error.Message}");
        }
        catch (BerthException away)
        {
            Break($"Its input can't be had: {away.Message}");
        }
        catch (OperationCanceledException)
        {
            // The program has ended: what is left is not for it.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>A task that another server accepted has its input there.</summary>
    private static async Task<Stream> OpenAsync(RunRooms rooms, Run run, CancellationToken cancellationToken)
    {
        try
        {
            return rooms.Spool.OpenInput(run.Id);
        }
        catch (IOException gone) when (
            rooms.Peers is not null && gone is (FileNotFoundException or DirectoryNotFoundException))
        {
            if (await rooms.Peers!.OpenInputAsync(run, cancellationToken) is { } there)
            {
                return there;
            }

            throw;
        }
    }

    /// <summary>False when the program closed its input or ended, which is its right.</summary>
    private static async ValueTask<bool> TryWriteAsync(
        Stream target, ReadOnlyMemory<byte> bytes, CancellationToken ended)
    {
        try
        {
            await target.WriteAsync(bytes, ended);
            return true;
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return false;
        }
    }

    private void Break(string fault)
    {
        Fault = fault;
        attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
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
            Break(full.Message);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            Break($"Its output could not be kept: {error.Message}");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
