namespace Berth.Core.Scaling;

/// <summary>A bounded line that serves its callers in turn: who waits with a thousand does not keep back who waits with
/// one. When it is full, who waits with the most yields its newest to one who waits with fewer. Not thread-safe.
/// </summary>
public sealed class FairLine<T>(int limit)
{
    private readonly Dictionary<string, Queued> callers = new(StringComparer.Ordinal);

    /// <summary>Callers with something waiting, in the order of their turns.</summary>
    private readonly LinkedList<Queued> turns = new();

    /// <summary>Of what the limit counts.</summary>
    public int Count { get; private set; }

    public bool IsEmpty => turns.Count == 0;

    /// <summary>Puts an item at the end of its caller's part of the line.</summary>
    /// <param name="yielded">What had to leave for it.</param>
    /// <returns>Its place, for <see cref="Remove"/>; null where the line is full of what has no lesser right.</returns>
    public Place? Add(string caller, T item, out T? yielded)
    {
        yielded = default;
        if (Count >= limit)
        {
            Queued? longest = turns.Where(q => q.IsCounted).MaxBy(q => q.Items.Count);
            int own = callers.TryGetValue(caller, out Queued? mine) ? mine.Items.Count : 0;
            if (longest is null || longest.Items.Count <= own + 1)
            {
                return null;
            }

            LinkedListNode<T> newest = longest.Items.Last!;
            yielded = newest.Value;
            Remove(new Place(longest, newest));
        }

        Count++;
        return Append(caller, item, isCounted: true);
    }

    /// <summary>As <see cref="Add"/>, for a caller that the limit does not concern, in none of its items.</summary>
    public Place AddUncounted(string caller, T item) => Append(caller, item, isCounted: false);

    /// <summary>The oldest of the caller whose turn it is.</summary>
    public bool TryTake(out T? item)
    {
        if (turns.First is not { } turn)
        {
            item = default;
            return false;
        }

        Queued queued = turn.Value;
        item = queued.Items.First!.Value;
        turns.Remove(turn);
        turns.AddLast(turn);
        Remove(new Place(queued, queued.Items.First));
        return true;
    }

    /// <summary>Nothing happens to one that has left already.</summary>
    public void Remove(Place place)
    {
        if (place.Node.List != place.Of.Items)
        {
            return;
        }

        place.Of.Items.Remove(place.Node);
        Count -= place.Of.IsCounted ? 1 : 0;
        if (place.Of.Items.Count == 0)
        {
            turns.Remove(place.Of.Turn);
            callers.Remove(place.Of.Caller);
        }
    }

    private Place Append(string caller, T item, bool isCounted)
    {
        if (!callers.TryGetValue(caller, out Queued? queued))
        {
            queued = new Queued(caller, isCounted);
            callers.Add(caller, queued);
            turns.AddLast(queued.Turn);
        }

        return new Place(queued, queued.Items.AddLast(item));
    }

    /// <summary>Where something waits.</summary>
    public sealed class Place
    {
        internal Place(Queued of, LinkedListNode<T> node)
        {
            Of = of;
            Node = node;
        }

        internal Queued Of { get; }

        internal LinkedListNode<T> Node { get; }
    }

    internal sealed class Queued
    {
        public Queued(string caller, bool isCounted)
        {
            Caller = caller;
            IsCounted = isCounted;
            Turn = new LinkedListNode<Queued>(this);
        }

        public string Caller { get; }

        public bool IsCounted { get; }

        public LinkedList<T> Items { get; } = new();

        public LinkedListNode<Queued> Turn { get; }
    }
}
