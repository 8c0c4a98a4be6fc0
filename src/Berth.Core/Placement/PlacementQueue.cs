namespace Berth.Core.Placement;

/// <summary>What waits for a node. Higher priority goes first; among equals the tenant that holds the smallest share
/// (<see cref="TenantShares"/>), and of a tenant what came first. Not thread-safe.</summary>
public sealed class PlacementQueue
{
    private readonly SortedDictionary<int, Lane> lanes = new(Comparer<int>.Create((a, b) => b.CompareTo(a)));
    private readonly TenantShares shares;

    public PlacementQueue(TenantShares shares)
    {
        this.shares = shares;
        shares.Changed += Reorder;
    }

    public int Count { get; private set; }

    public void Add(PlacementRequest request) => Put(request, isFirst: false);

    /// <summary>Brings one back that found no node: it is its tenant's next again.</summary>
    public void Return(PlacementRequest request) => Put(request, isFirst: true);

    /// <summary>Nothing waits any more.</summary>
    public void Clear()
    {
        lanes.Clear();
        Count = 0;
    }

    /// <summary>Takes the next out.</summary>
    public PlacementRequest? Take()
    {
        foreach ((int priority, Lane lane) in lanes)
        {
            PlacementRequest request = lane.Take();
            Count--;
            if (lane.IsEmpty)
            {
                lanes.Remove(priority);
            }

            return request;
        }

        return null;
    }

    private void Put(PlacementRequest request, bool isFirst)
    {
        if (!lanes.TryGetValue(request.Priority, out Lane? lane))
        {
            lanes.Add(request.Priority, lane = new Lane());
        }

        lane.Put(request, isFirst, shares.Of(request.Tenant));
        Count++;
    }

    private void Reorder(string? tenant)
    {
        foreach (Lane lane in lanes.Values)
        {
            lane.Reorder(tenant, shares);
        }
    }

    private sealed class Lane
    {
        private readonly Dictionary<string, Line> lines = new(StringComparer.Ordinal);
        private readonly SortedSet<(double Share, string Tenant)> turns = new(
            Comparer<(double Share, string Tenant)>.Create((a, b) => a.Share.CompareTo(b.Share) is not 0 and var order
                ? order
                : string.CompareOrdinal(a.Tenant, b.Tenant)));

        public bool IsEmpty => lines.Count == 0;

        public void Put(PlacementRequest request, bool isFirst, double share)
        {
            if (!lines.TryGetValue(request.Tenant, out Line? line))
            {
                lines.Add(request.Tenant, line = new Line { Share = share });
                turns.Add((share, request.Tenant));
            }

            _ = isFirst ? line.Requests.AddFirst(request) : line.Requests.AddLast(request);
        }

        public PlacementRequest Take()
        {
            (double share, string tenant) = turns.Min;
            Line line = lines[tenant];
            PlacementRequest request = line.Requests.First!.Value;
            line.Requests.RemoveFirst();
            if (line.Requests.Count == 0)
            {
                turns.Remove((share, tenant));
                lines.Remove(tenant);
            }

            return request;
        }

        public void Reorder(string? tenant, TenantShares shares)
        {
            if (tenant is not null)
            {
                if (lines.TryGetValue(tenant, out Line? line))
                {
                    Reorder(tenant, line, shares.Of(tenant));
                }

                return;
            }

            foreach ((string name, Line line) in lines)
            {
                Reorder(name, line, shares.Of(name));
            }
        }

        private void Reorder(string tenant, Line line, double share)
        {
            turns.Remove((line.Share, tenant));
            line.Share = share;
            turns.Add((share, tenant));
        }
    }

    private sealed class Line
    {
        public LinkedList<PlacementRequest> Requests { get; } = new();

        public double Share { get; set; }
    }
}
