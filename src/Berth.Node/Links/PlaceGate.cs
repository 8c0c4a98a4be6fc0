using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Resources;

namespace Berth.Node.Links;

/// <summary>
/// This machine's room, where several servers give it work: each knows what the others have here by heartbeats, which
/// are a second old. What comes while there is none waits a moment, because something may be ending just now, and is
/// then refused: its server takes another node. What something is ended for waits longer, and all that comes after it
/// stands behind it, for others would have the room that was made for it. A server of before knows no such refusal;
/// what it sends waits longer, and then runs all the same.
/// </summary>
internal sealed class PlaceGate(int places, ByteSize memory, TimeProvider time)
{
    private const string Held = "What comes free is kept for work of higher priority.";

    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    /// <summary>Nothing holds room for longer, whatever its server says.</summary>
    private static readonly TimeSpan LongestHold = TimeSpan.FromMinutes(5);

    private readonly Lock gate = new();
    private readonly NodeAdmission admission = new(places, memory);
    private readonly LinkedList<Waiter> line = [];

    public int Places => places;

    /// <summary>Attempts that have a place, or run without one.</summary>
    public int Taken
    {
        get
        {
            lock (gate)
            {
                return admission.Taken;
            }
        }
    }

    /// <summary>Memory of attempts, instances among them.</summary>
    public ByteSize Promised
    {
        get
        {
            lock (gate)
            {
                return admission.Promised;
            }
        }
    }

    /// <summary>Takes room until it is disposed.</summary>
    /// <param name="yields">Whether it can be refused, with <c>NoNode</c>.</param>
    /// <param name="hold">For how long what comes free is kept for it; zero where nothing is.</param>
    public async ValueTask<IDisposable> TakeAsync(
        AdmissionDemand demand, bool yields, TimeSpan hold, CancellationToken cancellationToken)
    {
        TimeSpan patience = hold > LongestHold ? LongestHold : hold > Moment ? hold : yields ? Moment : Patience;
        Waiter waiter = new(demand, yields, hold > TimeSpan.Zero);
        lock (gate)
        {
            if (line.Count == 0 && IsAdmitted(waiter))
            {
                return new Place(this, demand);
            }

            line.AddLast(waiter);
            Serve();
        }

        using CancellationTokenSource limit = new(patience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            await waiter.Turn.Task.WaitAsync(either.Token);
        }
        catch (OperationCanceledException)
        {
            Leave(waiter, cancellationToken);
        }

        return new Place(this, demand);
    }

    /// <summary>Its time is over; throws unless it runs all the same.</summary>
    private void Leave(Waiter waiter, CancellationToken cancellationToken)
    {
        lock (gate)
        {
            bool isBehind = line.TakeWhile(w => w != waiter).Any(w => w.Holds);
            bool wasAdmitted = !line.Remove(waiter);
            if (waiter.Holds)
            {
                // Whoever stands behind it.
                Serve();
            }

            if (cancellationToken.IsCancellationRequested)
            {
                if (wasAdmitted)
                {
                    Return(waiter.Demand);
                }

                cancellationToken.ThrowIfCancellationRequested();
            }

            if (wasAdmitted)
            {
                return;
            }

            if (waiter.Yields && (admission.Refusal(waiter.Demand) ?? (isBehind ? Held : null)) is { } why)
            {
                throw new BerthException(ErrorCode.NoNode, "The node has no room for it. " + why) { RetryAfter = Soon };
            }

            admission.Take(waiter.Demand);
        }
    }

    private void Return(AdmissionDemand demand)
    {
        lock (gate)
        {
            admission.Return(demand);
            Serve();
        }
    }

    /// <summary>In the order in which they came; one that is too large holds up nobody but where room is made for it.
    /// The lock is held by who calls.</summary>
    private void Serve()
    {
        bool isHeld = false;
        LinkedListNode<Waiter>? next;
        for (LinkedListNode<Waiter>? at = line.First; at is not null; at = next)
        {
            next = at.Next;
            // Who can't be refused waits for nobody's sake.
            if ((!isHeld || !at.Value.Yields) && IsAdmitted(at.Value))
            {
                line.Remove(at);
                at.Value.Turn.SetResult();
            }
            else
            {
                isHeld |= at.Value.Holds;
            }
        }
    }

    private bool IsAdmitted(Waiter waiter)
    {
        // Who can't be refused is measured by places alone, as ever.
        bool fits = waiter.Yields
            ? admission.Refusal(waiter.Demand) is null
            : !waiter.Demand.TakesPlace || admission.Taken < places;
        if (fits)
        {
            admission.Take(waiter.Demand);
        }

        return fits;
    }

    private sealed class Waiter(AdmissionDemand demand, bool yields, bool holds)
    {
        public AdmissionDemand Demand => demand;

        public bool Yields => yields;

        public bool Holds => holds;

        public TaskCompletionSource Turn { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Place(PlaceGate gate, AdmissionDemand demand) : IDisposable
    {
        private int returned;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref returned, 1) == 0)
            {
                gate.Return(demand);
            }
        }
    }
}
