using System.Collections.Concurrent;
using Berth.Core.Images;
using Berth.Core.Placement;
using Berth.Core.Runs;

namespace Berth.Server.Nodes;

/// <summary>Images that nodes fetch before something needs them.</summary>
internal sealed partial class NodeFleet
{
    /// <summary>Nodes that fetch one image at the same word; more do with the next.</summary>
    private const int MostFetching = 8;

    /// <summary>Images whose last look is remembered.</summary>
    private const int MostLooks = 1000;

    /// <summary>Of many runs that are placed at once one looks which nodes are to have their image.</summary>
    private static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(250);

    private readonly ConcurrentDictionary<string, long> looks = new(StringComparer.Ordinal);

    /// <summary>Says that programs of this image are to be expected, to the nodes that may have them.</summary>
    public void ExpectImage(RunSpec spec)
    {
        foreach (string name in index.Suiting(RequestOf("", "", spec), MostHinted))
        {
            Fetch(name, spec.Digest);
        }
    }

    /// <summary>Has further nodes fetch the image of what was just placed, where more of it may go to them.</summary>
    private void FetchAhead(PlacementPlan plan, Digest image)
    {
        PlacementRequest request = plan.Request;
        long now = time.GetTimestamp();
        // Instances are few, and each goes to another node.
        if (request.TakesPlace && looks.TryGetValue(request.Group!, out long last)
            && time.GetElapsedTime(last, now) < LookPeriod)
        {
            return;
        }

        if (looks.Count >= MostLooks)
        {
            looks.Clear();
        }

        looks[request.Group!] = now;
        foreach (string name in index.ToFetch(request with { Image = image.Text }, MostFetching))
        {
            Fetch(name, image);
        }
    }

    private void Fetch(string name, Digest image)
    {
        if (name != ownName)
        {
            register.Find(name)?.Node?.Fetch(image);
        }
    }
}
