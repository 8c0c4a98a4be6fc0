namespace Berth.Server.Logs;

/// <summary>Wakes those who follow a log. Costs nothing where nobody does.</summary>
internal sealed class LogSignals
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, Signal> followed = new(StringComparer.Ordinal);
    private readonly List<LogWatch> watches = [];

    /// <summary>The writer's side of a log's signal.</summary>
    public Handle For(string key) => new(this, key);

    /// <summary>Begins to follow. The caller disposes what it gets.</summary>
    public Follower Follow(string key)
    {
        lock (gate)
        {
            if (!followed.TryGetValue(key, out Signal? signal))
            {
                followed[key] = signal = new Signal();
            }

            signal.Followers++;
            return new Follower(this, key, signal);
        }
    }

    /// <summary>Begins to be told of every log that is written. The caller disposes what it gets.</summary>
    public LogWatch Watch()
    {
        LogWatch watch = new(this);
        lock (gate)
        {
            watches.Add(watch);
        }

        return watch;
    }

    internal void Leave(LogWatch watch)
    {
        lock (gate)
        {
            watches.Remove(watch);
        }
    }

    /// <summary>No more lines will come.</summary>
    public void Complete(string key) => Wake(key, completed: true);

    private void Wake(string key, bool completed)
    {
        TaskCompletionSource woken;
        lock (gate)
        {
            foreach (LogWatch watch in watches)
            {
                watch.Note(key, completed);
            }

            if (!followed.TryGetValue(key, out Signal? signal))
            {
                return;
            }

            signal.Completed |= completed;
            woken = signal.Changed;
            signal.Changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        woken.SetResult();
    }

    private void Leave(string key, Signal signal)
    {
        lock (gate)
        {
            if (--signal.Followers == 0)
            {
                followed.Remove(key);
            }
        }
    }

    internal readonly struct Handle(LogSignals owner, string key)
    {
        public void Pulse() => owner.Wake(key, completed: false);
    }

    internal sealed class Follower(LogSignals owner, string key, Signal signal) : IDisposable
    {
        /// <summary>What to await before reading again, and whether that reading is the last. Take it before reading,
        /// or a line written in between is missed.</summary>
        public (Task Changed, bool Completed) Look()
        {
            lock (owner.gate)
            {
                return (signal.Changed.Task, signal.Completed);
            }
        }

        public void Dispose() => owner.Leave(key, signal);
    }

    internal sealed class Signal
    {
        public int Followers { get; set; }

        public bool Completed { get; set; }

        public TaskCompletionSource Changed { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
