using Berth.Core.Placement;

namespace Berth.Server.Nodes;

/// <summary>
/// Who waits for room on a node. Those that ask for the same stand in one line, so that room that was left costs one
/// look at each line, however many wait. Only touched under the index's lock.
/// </summary>
internal sealed class PlacementLine
{
    /// <summary>Who comes later is told at once that there is no room.</summary>
    private const int Most = 10_000;

    /// <summary>Lines that are looked at when room was left; the others' turn comes with the next.</summary>
    private const int MostLooked = 32;

    private readonly Dictionary<string, LinkedList<Waiter>> lines = new(StringComparer.Ordinal);

    /// <summary>Those that give way come after all others: they would only be ended again.</summary>
    private readonly LinkedList<string>[] turns = [[], []];

    public int Count { get; private set; }

    /// <summary>Null where too many wait already.</summary>
    /// <param name="offered">Told that there is room, under the lock; true where the waiter keeps it.</param>
    public Waiter? Add(PlacementRequest request, Func<PlacementPlan, bool> offered)
    {
        if (Count == Most)
        {
            return null;
        }

        string key = KeyOf(request);
        if (!lines.TryGetValue(key, out LinkedList<Waiter>? line))
        {
            lines.Add(key, line = []);
            turns[TurnOf(request)].AddLast(key);
        }

        Waiter waiter = new(key, request, offered);
        line.AddLast(waiter.Place);
        Count++;
        return waiter;
    }

    /// <summary>Nothing happens where it is not in line any more.</summary>
    public void Remove(Waiter waiter)
    {
        if (waiter.Place.List is { } line)
        {
            line.Remove(waiter.Place);
            Count--;
            Drop(waiter.Line, line, turns[TurnOf(waiter.Request)]);
        }
    }

    /// <summary>Offers what room there is.</summary>
    /// <param name="take">Places a request.</param>
    /// <param name="withdraw">Takes that back.</param>
    public void Serve(Func<PlacementRequest, PlacementPlan> take, Action<PlacementPlan> withdraw)
    {
        if (Count == 0)
        {
            return;
        }

        List<PlacementPlan> passing = [];
        foreach (LinkedList<string> among in turns)
        {
            for (int looked = Math.Min(MostLooked, among.Count); looked > 0; looked--)
            {
                string key = among.First!.Value;
                among.RemoveFirst();
                among.AddLast(key);
                LinkedList<Waiter> line = lines[key];
                while (line.First is { Value: { } first } && take(first.Request) is { Node: not null } plan)
                {
                    line.RemoveFirst();
                    Count--;
                    if (!first.Offered(plan))
                    {
                        passing.Add(plan);
                    }
                }

                Drop(key, line, among);
            }
        }

        // Counted until here, so that one place wakes one.
        foreach (PlacementPlan plan in passing)
        {
            withdraw(plan);
        }
    }

    private static int TurnOf(PlacementRequest request) => request.IsBatch ? 1 : 0;

    private void Drop(string key, LinkedList<Waiter> line, LinkedList<string> among)
    {
        if (line.Count == 0)
        {
            lines.Remove(key);
            among.Remove(key);
        }
    }

    private static string KeyOf(PlacementRequest request) => string.Join(
        '\n',
        [
            request.Resources.ToString(), request.Architecture, request.TakesPlace ? "place" : "",
            request.Network ?? "", request.IsBatch ? "batch" : "", request.Evicts ? "evicts" : "",
            request.Priority.ToString(System.Globalization.CultureInfo.InvariantCulture),
            .. request.Constraints.Select(c => c.Text), "", .. request.Tolerations.Select(t => t.Text), "",
            .. request.Volumes,
        ]);

    public sealed class Waiter
    {
        public Waiter(string line, PlacementRequest request, Func<PlacementPlan, bool> offered)
        {
            Line = line;
            Request = request;
            Offered = offered;
            Place = new LinkedListNode<Waiter>(this);
        }

        public string Line { get; }

        public PlacementRequest Request { get; }

        public Func<PlacementPlan, bool> Offered { get; }

        public LinkedListNode<Waiter> Place { get; }
    }
}
