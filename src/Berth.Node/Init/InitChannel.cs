using System.Collections.Concurrent;
using System.Text;
using Berth.Core.Errors;
using Berth.Init.Protocol;
using Berth.Node.Linux;

namespace Berth.Node.Init;

/// <summary>
/// The node's end of the one connection to a sandbox's init: boot, start one program, signal it, learn its end; and
/// start further programs beside it. Disposing closes it, upon which the init kills everything in the sandbox and goes:
/// so does the death of this process.
/// </summary>
public sealed class InitChannel : IAsyncDisposable
{
    private readonly FrameConnection connection;
    private readonly ConcurrentDictionary<int, FurtherProgram> further = new();
    private int lastFurther;
    private readonly TaskCompletionSource ready = new();
    private readonly TaskCompletionSource<StartOutcome> started = new();
    private readonly TaskCompletionSource<ProgramExit?> exited = new();

    /// <summary>Takes ownership of our end of a <see cref="SocketPair"/> whose other end is the init's fd 3.</summary>
    public InitChannel(FileDescriptor ours, ReadinessPoller poller) =>
        connection = new FrameConnection(ours, poller, Take, Close);

    /// <summary>
    /// The program's end; null when the init went without reporting one (it was killed, or never ran). Never faults.
    /// </summary>
    public Task<ProgramExit?> Exited => exited.Task;

    /// <summary>
    /// Sends the filter and waits until the init has locked itself down. Throws BerthException (NodeFault) when it
    /// can't, or when it is gone.
    /// </summary>
    public async Task WaitReadyAsync(ReadOnlyMemory<byte> filter, CancellationToken cancellationToken)
    {
        await connection.SendAsync(BootFrame.Encode(filter.Span), [], cancellationToken);
        await WaitReadyAsync(cancellationToken);
    }

    /// <summary>Until it says so by itself. Throws as the other.</summary>
    public Task WaitReadyAsync(CancellationToken cancellationToken) => ready.Task.WaitAsync(cancellationToken);

    /// <summary>The same with an order to be an outer container.</summary>
    public async Task BecomeOuterAsync(ReadOnlyMemory<byte> order, CancellationToken cancellationToken)
    {
        await connection.SendAsync(order, [], cancellationToken);
        await WaitReadyAsync(cancellationToken);
    }

    /// <summary>An order to an outer container, which answers none over this connection. Throws BerthException
    /// (NodeFault) when it is gone.</summary>
    public Task OrderAsync(
        ReadOnlyMemory<byte> order, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken) =>
        connection.SendAsync(order, descriptors, cancellationToken).AsTask();

    /// <summary>
    /// Runs the program; returns once execve has succeeded or can't. Once per channel. Throws BerthException:
    /// InvalidRequest for what no program could be started with, NodeFault when the machine is to blame.
    /// </summary>
    /// <param name="terminal">The program's end of a terminal for its streams; null for those the init was made
    /// with.</param>
    public async Task<StartOutcome> StartAsync(
        ProgramStart program, FileDescriptor? terminal, CancellationToken cancellationToken)
    {
        await connection.SendAsync(
            program.Encode(terminal is null ? StandardStreams.Inherited : StandardStreams.Terminal),
            terminal is null ? [] : [terminal], cancellationToken);
        return await started.Task.WaitAsync(cancellationToken);
    }

    /// <summary>
    /// Runs a program beside the main one; returns once execve has succeeded or can't. Throws as
    /// <see cref="StartAsync"/>, NodeFault also when the main program has ended. Canceled, it leaves nothing running.
    /// </summary>
    /// <param name="descriptors">The program's end of a terminal, or its standard input, output and error. They stay
    /// the caller's.</param>
    public async Task<(IFurtherProgram Program, StartOutcome Outcome)> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        FurtherProgram one = new(Interlocked.Increment(ref lastFurther), SignalFurther);
        ReadOnlyMemory<byte> frame = program.EncodeFurther(
            one.Id, descriptors.Count == 1 ? StandardStreams.Terminal : StandardStreams.Attached);
        further[one.Id] = one;
        if (exited.Task.IsCompleted)
        {
            one.Fail(FrameConnection.Gone());
        }

        try
        {
            await connection.SendAsync(frame, descriptors, cancellationToken);
        }
        catch
        {
            further.TryRemove(one.Id, out _);
            throw;
        }

        try
        {
            return (one, await one.Started.WaitAsync(cancellationToken));
        }
        catch (OperationCanceledException)
        {
            // Arrives after the order, so it finds the program whether or not that runs yet.
            one.Signal(PidHandle.SigKill);
            throw;
        }
    }

    /// <summary>To the program's main process. Nothing happens when it has ended.</summary>
    public void Signal(int number) => connection.Post(PlainFrames.EncodeSignal(number));

    /// <summary>SIGKILL to every process of the sandbox but the init, which then reports as usual.</summary>
    public void Kill() => connection.Post(PlainFrames.Kill);

    /// <summary>Until the other end was closed.</summary>
    public Task WaitClosedAsync() => connection.Closed;

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    private void SignalFurther(int id, int number) =>
        connection.Post(new ExecNumbersFrame(FrameType.ExecSignal, id, number).Encode());

    private void Close(Exception end)
    {
        // First: who is told of an end below goes on here.
        exited.TrySetResult(null);
        ready.TrySetException(end);
        started.TrySetException(end);
        foreach (FurtherProgram one in further.Values)
        {
            one.Fail(end);
        }

        // Nobody may have asked; the answer is then in Exited.
        _ = ready.Task.Exception;
        _ = started.Task.Exception;
    }

    private void Take(FrameType type, ReadOnlySpan<byte> payload)
    {
        switch (type)
        {
            case FrameType.Ready when PlainFrames.TryDecodeReady(payload):
                ready.TrySetResult();
                break;
            case FrameType.Started when StartedFrame.TryDecode(payload, out StartedFrame frame):
                started.TrySetResult(StartOutcome.Started.Of(frame));
                break;
            case FrameType.Refused when RefusedFrame.TryDecode(payload, out RefusedFrame refused):
                started.TrySetResult(new StartOutcome.EntryPointMissing(Encoding.UTF8.GetString(refused.Detail)));
                break;
            case FrameType.Failed when FailedFrame.TryDecode(payload, out FailedFrame failed):
                throw new BerthException(
                    ErrorCode.NodeFault,
                    $"The sandbox's init failed: {Encoding.UTF8.GetString(failed.Detail)} (errno {failed.Errno}).");
            case FrameType.Exited when ExitedFrame.TryDecode(payload, out ExitedFrame exit):
                exited.TrySetResult(ProgramExit.Of(exit));
                break;
            default:
                TakeFurther(type, payload);
                break;
        }
    }

    private void TakeFurther(FrameType type, ReadOnlySpan<byte> payload)
    {
        if (type == FrameType.ExecRefused && ExecRefusedFrame.TryDecode(payload, out ExecRefusedFrame refused)
            && further.TryRemove(refused.Id, out FurtherProgram? one))
        {
            string detail = Encoding.UTF8.GetString(refused.Detail);
            if (refused.Reason is null)
            {
                one.Fail(new BerthException(
                    ErrorCode.NodeFault, $"The program could not be started: {detail} (errno {refused.Errno})."));
            }
            else
            {
                one.BeStarted(new StartOutcome.EntryPointMissing(detail));
                one.Fail(FrameConnection.Gone());
            }
        }
        else if (ExecNumbersFrame.TryDecode(type, payload, out ExecNumbersFrame frame)
            && further.TryGetValue(frame.Id, out one))
        {
            if (type == FrameType.ExecExited)
            {
                further.TryRemove(frame.Id, out _);
                one.End(new FurtherExit(frame.First, frame.Second));
                return;
            }

            one.BeStarted(new StartOutcome.Started(frame.First));
        }
        else
        {
            throw FrameConnection.Malformed();
        }
    }
}
