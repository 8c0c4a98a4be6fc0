using System.Buffers;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Server.Nodes;

namespace Berth.Server.Containers;

/// <summary>
/// A container's program while it runs: copies what it writes to the log and to those attached, and passes on what they
/// type. Reads to the end even when nobody listens, because a program whose output is not read may block.
/// </summary>
internal sealed class LiveContainer
{
    private const int Block = 16 * 1024;

    private readonly IAttempt attempt;
    private readonly SemaphoreSlim inputGate = new(1, 1);
    private readonly Task copying;
    private bool inputClosed;

    /// <param name="run">The run of this start, as stored.</param>
    /// <param name="openInput">Whether standard input stays open for who attaches.</param>
    public LiveContainer(
        IAttempt attempt, Run run, bool openInput, LogStore logs, string key, ContainerBroadcast broadcast)
    {
        this.attempt = attempt;
        Run = run;
        (RunLogWriter output, RunLogWriter error, IDisposable file) = logs.AppendBoth(key);
        copying = CopyAllAsync(output, error, file, broadcast);
        if (!openInput && attempt.Spec.Terminal is null)
        {
            inputClosed = true;
            attempt.Input.Dispose();
        }
    }

    public IAttempt Attempt => attempt;

    public Run Run { get; }

    /// <summary>Completes when the container has been brought to its next state. Never faults.</summary>
    public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Somebody asked for this program's end, for whatever comes next.</summary>
    public bool StopAsked { get; set; }

    /// <summary>The node that it leaves, to be started elsewhere whatever its policy counts; null where it just ends.
    /// </summary>
    public string? Leaves { get; set; }

    /// <summary>Whether it ends because its node does.</summary>
    public bool IsEvicted { get; set; }

    /// <summary>Asks the program to end, kills it after its grace, and returns when the container is in its next state.
    /// </summary>
    public async Task EndAsync(ContainerSpec spec, EndReason reason, TimeSpan grace, TimeProvider time)
    {
        if (spec.StopSignal is { } signal && grace > TimeSpan.Zero)
        {
            attempt.Resume();
            attempt.Signal(signal);
            await Task.WhenAny(attempt.Completion, Task.Delay(grace, time, CancellationToken.None));
            grace = TimeSpan.Zero;
        }

        attempt.Stop(reason, grace);
        await Ended.Task;
    }

    /// <summary>The server stops, and the program is on another machine: it goes on there. Returns when all that came
    /// of it is in the log.</summary>
    public async Task LeaveAsync()
    {
        await ((RemoteContainer)attempt).LeaveAsync();
        await copying;
    }

    /// <summary>How it ended; completes once all it wrote has been read, too. Never faults.</summary>
    public async Task<AttemptReport> CompleteAsync()
    {
        AttemptReport report = await attempt.Completion;
        await copying;
        return report;
    }

    /// <summary>False when the program takes no input any more.</summary>
    public async Task<bool> WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await inputGate.WaitAsync(cancellationToken);
        try
        {
            if (inputClosed)
            {
                return false;
            }

            await attempt.Input.WriteAsync(bytes, cancellationToken);
            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return false;
        }
        finally
        {
            inputGate.Release();
        }
    }

    /// <summary>End of file. A terminal has none but what is typed at it.</summary>
    public async Task CloseInputAsync(CancellationToken cancellationToken)
    {
        if (attempt.Spec.Terminal is not null)
        {
            return;
        }

        await inputGate.WaitAsync(cancellationToken);
        try
        {
            inputClosed = true;
            await attempt.Input.DisposeAsync();
        }
        finally
        {
            inputGate.Release();
        }
    }

    private async Task CopyAllAsync(
        RunLogWriter output, RunLogWriter error, IDisposable file, ContainerBroadcast broadcast)
    {
        using (file)
        {
            await Task.WhenAll(
                CopyAsync(attempt.Output, ProgramStream.Output, output, broadcast),
                CopyAsync(attempt.Error, ProgramStream.Error, error, broadcast));
        }
    }

    private static async Task CopyAsync(
        Stream source, ProgramStream stream, RunLogWriter log, ContainerBroadcast broadcast)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(Block);
        try
        {
            using (log)
            {
                int count;
                while ((count = await source.ReadAsync(buffer.AsMemory(0, Block), CancellationToken.None)) > 0)
                {
                    log.Write(buffer.AsSpan(0, count));
                    await broadcast.PublishAsync(stream, buffer.AsMemory(0, count));
                }
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // A terminal whose program has ended answers with an error (EIO): that is its end of file.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
