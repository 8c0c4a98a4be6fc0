using System.Text;
using Berth.Core.Errors;
using Berth.Init.Protocol;
using Berth.Node.Engines;
using Berth.Node.Linux;

namespace Berth.Node.Init;

/// <summary>The node's end of the connection to one lane of a sandbox. Disposing closes it, upon which the lane ends
/// what it runs and goes.</summary>
internal sealed class LaneChannel : ILane
{
    private readonly FrameConnection connection;
    private readonly TaskCompletionSource ready = new();
    private volatile Program current = new();

    /// <summary>Takes ownership of our end of a <see cref="SocketPair"/> whose other end the lane gets.</summary>
    public LaneChannel(FileDescriptor ours, ReadinessPoller poller)
    {
        current.Exited.TrySetResult(null);
        connection = new FrameConnection(ours, poller, Take, Close);
    }

    public bool IsAlive => !connection.Closed.IsCompleted;

    public Task<ProgramExit?> Exited => current.Exited.Task;

    /// <summary>Until it takes programs. Throws BerthException (NodeFault).</summary>
    public Task WaitReadyAsync(CancellationToken cancellationToken) => ready.Task.WaitAsync(cancellationToken);

    public async Task<StartOutcome> StartAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        if (!current.Exited.Task.IsCompleted)
        {
            throw new InvalidOperationException("A lane runs one program at a time.");
        }

        ReadOnlyMemory<byte> frame = program.Encode(StandardStreams.WithProgress);
        Program next = new();
        current = next;
        if (!IsAlive)
        {
            next.Fail(FrameConnection.Gone());
        }

        try
        {
            await connection.SendAsync(frame, descriptors, cancellationToken);
        }
        catch (Exception error)
        {
            next.Fail(error);
            throw;
        }

        return await next.Started.Task.WaitAsync(cancellationToken);
    }

    public void Signal(int signal) => connection.Post(PlainFrames.EncodeSignal(signal));

    public void Kill() => connection.Post(PlainFrames.Kill);

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    private void Take(FrameType type, ReadOnlySpan<byte> payload)
    {
        switch (type)
        {
            case FrameType.Ready when PlainFrames.TryDecodeReady(payload):
                ready.TrySetResult();
                break;
            case FrameType.Started when StartedFrame.TryDecode(payload, out StartedFrame started):
                current.Started.TrySetResult(StartOutcome.Started.Of(started));
                break;
            case FrameType.Refused when RefusedFrame.TryDecode(payload, out RefusedFrame refused):
                Program none = current;
                // First: who started it goes on here, and may start the next one.
                none.Exited.TrySetResult(null);
                none.Started.TrySetResult(
                    new StartOutcome.EntryPointMissing(Encoding.UTF8.GetString(refused.Detail)));
                break;
            case FrameType.Failed when FailedFrame.TryDecode(payload, out FailedFrame failed):
                BerthException fault = new(
                    ErrorCode.NodeFault,
                    $"The sandbox's init failed: {Encoding.UTF8.GetString(failed.Detail)} (errno {failed.Errno}).");
                ready.TrySetException(fault);
                current.Fail(fault);
                break;
            case FrameType.Exited when ExitedFrame.TryDecode(payload, out ExitedFrame exit):
                current.Exited.TrySetResult(ProgramExit.Of(exit));
                break;
            default:
                throw FrameConnection.Malformed();
        }
    }

    private void Close(Exception end)
    {
        ready.TrySetException(end);
        _ = ready.Task.Exception;
        current.Fail(end);
    }

    private sealed class Program
    {
        public TaskCompletionSource<StartOutcome> Started { get; } = new();

        public TaskCompletionSource<ProgramExit?> Exited { get; } = new();

        public void Fail(Exception error)
        {
            Exited.TrySetResult(null);
            Started.TrySetException(error);
            // Nobody may have asked; the answer is then in Exited.
            _ = Started.Task.Exception;
        }
    }
}
