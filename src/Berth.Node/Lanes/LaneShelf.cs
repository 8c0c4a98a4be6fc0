using Berth.Api.Nodes;
using Berth.Node.Engines;

namespace Berth.Node.Lanes;

/// <summary>A place for a call.</summary>
/// <param name="Lane">Null where one is still to be opened.</param>
internal readonly record struct Place(WarmSandbox Home, ILane? Lane);

/// <summary>Everything known about the reused sandboxes of one shape. Only touched under the pool's lock.</summary>
internal sealed class LaneShelf(SandboxSpec spec)
{
    /// <summary>Those with room, the one used last at the end; what has no room any more is dropped when met.</summary>
    private readonly List<WarmSandbox> open = [];

    public SandboxSpec Spec => spec;

    public HashSet<WarmSandbox> Homes { get; } = [];

    public LinkedList<TaskCompletionSource<Place>> Waiters { get; } = new();

    /// <summary>Sandboxes asked of the pools now.</summary>
    public int Creating { get; set; }

    public TimeSpan LastUsed { get; set; }

    public bool IsUnused => Homes.Count == 0 && Waiters.Count == 0 && Creating == 0;

    public void Add(WarmSandbox home)
    {
        Homes.Add(home);
        Offer(home);
    }

    /// <summary>It may have room.</summary>
    public void Offer(WarmSandbox home)
    {
        if (home.TakesCalls && !home.IsOffered)
        {
            home.IsOffered = true;
            open.Add(home);
        }
    }

    public bool TryEnter(out Place place)
    {
        while (open.Count > 0)
        {
            WarmSandbox home = open[^1];
            bool takes = home.TakesCalls;
            place = takes ? new Place(home, home.Enter()) : default;
            if (!home.TakesCalls)
            {
                home.IsOffered = false;
                open.RemoveAt(open.Count - 1);
            }

            if (takes)
            {
                return true;
            }
        }

        place = default;
        return false;
    }

    /// <summary>Gives the places there are to who waits, oldest first.</summary>
    public void Serve()
    {
        while (Waiters.First is { } first && TryEnter(out Place place))
        {
            Waiters.RemoveFirst();
            first.Value.SetResult(place);
        }
    }

    public void FailFirst(Exception error)
    {
        if (Waiters.First is { } first)
        {
            Waiters.RemoveFirst();
            first.Value.SetException(error);
        }
    }

    /// <summary>Those without calls that are due, which are the caller's then.</summary>
    public IReadOnlyList<WarmSandbox> TakeOut(Func<WarmSandbox, bool> isDue)
    {
        WarmSandbox[] due = [.. Homes.Where(h => h.Running == 0 && isDue(h))];
        foreach (WarmSandbox home in due)
        {
            home.Replace();
            Homes.Remove(home);
            if (home.IsOffered)
            {
                open.Remove(home);
            }
        }

        return due;
    }
}
