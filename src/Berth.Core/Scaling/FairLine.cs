namespace Berth.Core.Scaling;

/// <summary>A bounded line that serves groups in turn, and within a group its callers in turn: who waits with a
/// thousand does not keep back who waits with one. When it is full, the group that waits with the most yields its
/// newest to one that waits with fewer; within a group likewise its callers. Not thread-safe.</summary>
public sealed class FairLine<T>(int limit)
{
    private readonly Dictionary<string, Group> groups = new(StringComparer.Ordinal);

    /// <summary>Groups with something waiting, in the order of their turns.</summary>
    private readonly LinkedList<Group> turns = new();

    /// <summary>Of what the limit counts.</summary>
    public int Count { get; private set; }

    public bool IsEmpty => turns.Count == 0;

    /// <summary>Puts an item at the end of its caller's part of the line, each caller a group of its own.</summary>
    /// <param name="yielded">What had to leave for it.</param>
    /// <returns>Its place, for <see cref="Remove"/>; null where the line is full of what has no lesser right.</returns>
    public Place? Add(string caller, T item, out T? yielded) => Add(caller, caller, item, out yielded);

    /// <summary>As the other, of a caller within a group.</summary>
    public Place? Add(string group, string caller, T item, out T? yielded)
    {
        yielded = default;
        if (Count >= limit)
        {
            Place? newest = ToYield(group, caller);
            if (newest is null)
            {
                return null;
            }

            yielded = newest.Node.Value;
            Remove(newest);
        }

        Count++;
        return Append(group, caller, item, isCounted: true);
    }

    /// <summary>As <see cref="Add(string,T,out T)"/>, for a caller that the limit does not concern, in none of its
    /// items.</summary>
    public Place AddUncounted(string caller, T item) => Append(caller, caller, item, isCounted: false);

    /// <summary>The oldest of the caller whose turn it is, of the group whose turn it is.</summary>
    public bool TryTake(out T? item) => TryTake(null, out item);

    /// <summary>As the other, of the groups that are let in alone; the others keep their turns.</summary>
    /// <param name="mayEnter">By a group's name; null for all.</param>
    public bool TryTake(Func<string, bool>? mayEnter, out T? item)
    {
        LinkedListNode<Group>? turn = turns.First;
        while (turn is not null && mayEnter?.Invoke(turn.Value.Name) == false)
        {
            turn = turn.Next;
        }

        if (turn is null)
        {
            item = default;
            return false;
        }

        Group group = turn.Value;
        Part part = group.Turns.First!.Value;
        item = part.Items.First!.Value;
        turns.Remove(turn);
        turns.AddLast(turn);
        group.Turns.Remove(part.Turn);
        group.Turns.AddLast(part.Turn);
        Remove(new Place(part, part.Items.First));
        return true;
    }

    /// <summary>Nothing happens to one that has left already.</summary>
    public void Remove(Place place)
    {
        Part part = place.Of;
        if (place.Node.List != part.Items)
        {
            return;
        }

        Group group = part.Of;
        part.Items.Remove(place.Node);
        group.Count--;
        Count -= group.IsCounted ? 1 : 0;
        if (part.Items.Count == 0)
        {
            group.Turns.Remove(part.Turn);
            group.Parts.Remove(part.Caller);
        }

        if (group.Count == 0)
        {
            turns.Remove(group.Turn);
            groups.Remove(group.Name);
        }
    }

    /// <summary>Of the longest group, or of the group itself where that is the longest, the longest caller's newest.
    /// Null where none of them waits with more than who comes would.</summary>
    private Place? ToYield(string group, string caller)
    {
        Group? longest = turns.Where(g => g.IsCounted).MaxBy(g => g.Count);
        Group? own = groups.GetValueOrDefault(group);
        if (longest is null)
        {
            return null;
        }

        if (longest.Count <= (own?.Count ?? 0) + 1)
        {
            // No group has a lesser right: it is between the callers of its own.
            Part? most = own?.Turns.MaxBy(p => p.Items.Count);
            int mine = own?.Parts.GetValueOrDefault(caller)?.Items.Count ?? 0;
            return most is null || most.Items.Count <= mine + 1 ? null : new Place(most, most.Items.Last!);
        }

        Part part = longest.Turns.MaxBy(p => p.Items.Count)!;
        return new Place(part, part.Items.Last!);
    }

    private Place Append(string name, string caller, T item, bool isCounted)
    {
        if (!groups.TryGetValue(name, out Group? group))
        {
            group = new Group(name, isCounted);
            groups.Add(name, group);
            turns.AddLast(group.Turn);
        }

        if (!group.Parts.TryGetValue(caller, out Part? part))
        {
            part = new Part(group, caller);
            group.Parts.Add(caller, part);
            group.Turns.AddLast(part.Turn);
        }

        group.Count++;
        return new Place(part, part.Items.AddLast(item));
    }

    /// <summary>Where something waits.</summary>
    public sealed class Place
    {
        internal Place(Part of, LinkedListNode<T> node)
        {
            Of = of;
            Node = node;
        }

        internal Part Of { get; }

        internal LinkedListNode<T> Node { get; }
    }

    internal sealed class Group
    {
        public Group(string name, bool isCounted)
        {
            Name = name;
            IsCounted = isCounted;
            Turn = new LinkedListNode<Group>(this);
        }

        public string Name { get; }

        public bool IsCounted { get; }

        /// <summary>Items of all its callers.</summary>
        public int Count { get; set; }

        public Dictionary<string, Part> Parts { get; } = new(1, StringComparer.Ordinal);

        public LinkedList<Part> Turns { get; } = new();

        public LinkedListNode<Group> Turn { get; }
    }

    /// <summary>One caller's items of a group.</summary>
    internal sealed class Part
    {
        public Part(Group of, string caller)
        {
            Of = of;
            Caller = caller;
            Turn = new LinkedListNode<Part>(this);
        }

        public Group Of { get; }

        public string Caller { get; }

        public LinkedList<T> Items { get; } = new();

        public LinkedListNode<Part> Turn { get; }
    }
}
