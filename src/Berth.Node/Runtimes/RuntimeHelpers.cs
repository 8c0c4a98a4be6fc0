using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>Processes that a runtime leaves beside a container's first one, as gVisor its file server: held so that
/// they are reaped when they end.</summary>
internal sealed class RuntimeHelpers : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly List<PidHandle> handles = [];

    public void Hold(IEnumerable<int> pids, ReadinessPoller poller)
    {
        foreach (int pid in pids)
        {
            try
            {
                handles.Add(PidHandle.Open(pid, poller));
            }
            catch (LinuxException error) when (error.Errno == Errno.NoSuchProcess)
            {
                // Ended between the listing and the look.
            }
        }
    }

    /// <summary>Called when the sandbox was removed; what has not ended then the sweep finds.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAny(Task.WhenAll(handles.Select(h => h.Exited)), Task.Delay(Patience));
        handles.ForEach(h => h.Dispose());
    }
}
