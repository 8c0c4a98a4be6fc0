namespace Berth.Server.Logs;

/// <summary>Which logs were written since somebody last looked, whosever they are. Holds names, never lines: a reader
/// that is slow costs the writers nothing.</summary>
internal sealed class LogWatch(LogSignals owner) : IDisposable
{
    /// <summary>Logs between two looks; a server has fewer places for programs.</summary>
    private const int Most = 8192;

    private readonly Lock gate = new();
    private Dictionary<string, bool> written = new(StringComparer.Ordinal);
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int missed;

    /// <summary>Completes when there is something to take.</summary>
    public Task Changed
    {
        get
        {
            lock (gate)
            {
                return changed.Task;
            }
        }
    }

    /// <summary>By log, whether it is complete; and how many logs could not be noted.</summary>
    public IReadOnlyDictionary<string, bool> Take(out int unknown)
    {
        lock (gate)
        {
            Dictionary<string, bool> taken = written;
            written = new(StringComparer.Ordinal);
            changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            unknown = missed;
            missed = 0;
            return taken;
        }
    }

    public void Dispose() => owner.Leave(this);

    internal void Note(string key, bool completed)
    {
        lock (gate)
        {
            if (written.Count < Most || written.ContainsKey(key))
            {
                written[key] = completed || written.GetValueOrDefault(key);
            }
            else
            {
                missed++;
            }

            changed.TrySetResult();
        }
    }
}
