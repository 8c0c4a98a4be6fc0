using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Berth.Api.Runs;
using Berth.Core.Runs;

namespace Berth.Server.Events;

/// <summary>
/// Passes on what happens to runs, after it is true, to whoever listens now. Never waits for a listener: one that falls
/// behind is cut off and told so, and can read what it missed from the store.
/// </summary>
public sealed class RunEventHub
{
    private const int Backlog = 256;

    private readonly Lock gate = new();
    private readonly Dictionary<RunId, List<Subscription>> byRun = [];
    private readonly List<Subscription> toAll = [];
    private bool closed;

    /// <summary>Who listens now.</summary>
    public int Listeners
    {
        get
        {
            lock (gate)
            {
                return toAll.Count + byRun.Values.Sum(list => list.Count);
            }
        }
    }

    /// <summary>Runs that somebody listens to.</summary>
    public IReadOnlyList<RunId> Heard
    {
        get
        {
            lock (gate)
            {
                return [.. byRun.Keys];
            }
        }
    }

    /// <summary>Listens to one run, or to all with null. The caller disposes it.</summary>
    public Subscription Subscribe(RunId? run)
    {
        Subscription subscription = new(this, run);
        lock (gate)
        {
            if (closed)
            {
                subscription.Close();
                return subscription;
            }

            if (run is not { } id)
            {
                toAll.Add(subscription);
            }
            else if (byRun.TryGetValue(id, out List<Subscription>? list))
            {
                list.Add(subscription);
            }
            else
            {
                byRun[id] = [subscription];
            }
        }

        return subscription;
    }

    public void Publish(RunId run, long sequence, RunEvent entry)
    {
        lock (gate)
        {
            bool heard = byRun.TryGetValue(run, out List<Subscription>? list);
            if (!heard && toAll.Count == 0)
            {
                return;
            }

            RunEventView view = View(run, sequence, entry);
            toAll.ForEach(subscription => subscription.Offer(view));
            list?.ForEach(subscription => subscription.Offer(view));
        }
    }

    /// <summary>Ends every subscription: the server stops.</summary>
    public void Close()
    {
        lock (gate)
        {
            closed = true;
            toAll.ForEach(subscription => subscription.Close());
            foreach (List<Subscription> list in byRun.Values)
            {
                list.ForEach(subscription => subscription.Close());
            }
        }
    }

    public static RunEventView View(RunId run, long sequence, RunEvent entry) =>
        new(run.Text, sequence, entry.At, entry.Type, entry.Attempt, entry.Detail);

    private void Leave(Subscription subscription)
    {
        lock (gate)
        {
            if (subscription.Run is not { } id)
            {
                toAll.Remove(subscription);
            }
            else if (byRun.TryGetValue(id, out List<Subscription>? list) && list.Remove(subscription)
                && list.Count == 0)
            {
                byRun.Remove(id);
            }
        }
    }

    /// <summary>One listener's events, oldest first.</summary>
    public sealed class Subscription : IDisposable
    {
        private readonly RunEventHub hub;

        // Bounded so that a listener that stands still costs no memory; it is cut rather than waited for.
        private readonly Channel<RunEventView> channel = Channel.CreateBounded<RunEventView>(Backlog);

        internal Subscription(RunEventHub hub, RunId? run)
        {
            this.hub = hub;
            Run = run;
        }

        /// <summary>Whether the listener was too slow: events after the last one read were dropped.</summary>
        public bool WasCut { get; private set; }

        internal RunId? Run { get; }

        /// <summary>Events until the subscription is disposed, cut, or the hub closes.</summary>
        public async IAsyncEnumerable<RunEventView> ReadAsync(
            [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (RunEventView view in channel.Reader.ReadAllAsync(cancellationToken))
            {
                yield return view;
            }
        }

        /// <summary>Completes at the next event (true) or at the end (false).</summary>
        public ValueTask<bool> NextAsync(CancellationToken cancellationToken) =>
            channel.Reader.WaitToReadAsync(cancellationToken);

        public bool TryTake(out RunEventView? view) => channel.Reader.TryRead(out view);

        public void Dispose()
        {
            hub.Leave(this);
            Close();
        }

        internal void Offer(RunEventView view)
        {
            if (!channel.Writer.TryWrite(view) && channel.Writer.TryComplete())
            {
                WasCut = true;
            }
        }

        internal void Close() => channel.Writer.TryComplete();
    }
}
