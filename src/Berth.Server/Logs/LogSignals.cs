using Berth.Core.Runs;

namespace Berth.Server.Logs;

/// <summary>Wakes those who follow a log. Costs nothing for a run that nobody follows.</summary>
internal sealed class LogSignals
{
    private readonly Lock gate = new();
    private readonly Dictionary<RunId, Signal> followed = [];

    /// <summary>The writer's side of a run's signal.</summary>
    public Handle For(RunId id) => new(this, id);

    /// <summary>Begins to follow. The caller disposes what it gets.</summary>
    public Follower Follow(RunId id)
    {
        lock (gate)
        {
            if (!followed.TryGetValue(id, out Signal? signal))
            {
                followed[id] = signal = new Signal();
            }

            signal.Followers++;
            return new Follower(this, id, signal);
        }
    }

    /// <summary>No more lines will come.</summary>
    public void Complete(RunId id) => Wake(id, completed: true);

    private void Wake(RunId id, bool completed)
    {
        TaskCompletionSource woken;
        lock (gate)
        {
            if (!followed.TryGetValue(id, out Signal? signal))
            {
                return;
            }

            signal.Completed |= completed;
            woken = signal.Changed;
            signal.Changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        woken.SetResult();
    }

    private void Leave(RunId id, Signal signal)
    {
        lock (gate)
        {
            if (--signal.Followers == 0)
            {
                followed.Remove(id);
            }
        }
    }

    internal readonly struct Handle(LogSignals owner, RunId id)
    {
        public void Pulse() => owner.Wake(id, completed: false);
    }

    internal sealed class Follower(LogSignals owner, RunId id, Signal signal) : IDisposable
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

        public void Dispose() => owner.Leave(id, signal);
    }

    internal sealed class Signal
    {
        public int Followers { get; set; }

        public bool Completed { get; set; }

        public TaskCompletionSource Changed { get; set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
