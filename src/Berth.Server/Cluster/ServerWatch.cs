using Berth.Server.Store;

namespace Berth.Server.Cluster;

/// <summary>
/// Decides from beats which servers are lost. Nobody's clock is compared with another's: a server is lost when its beat
/// stood still for long enough on the clock of the one who watches, while that one looked all the time. Whoever could
/// not look (the store was away, the process was paused) begins anew: then nobody could beat either.
/// </summary>
internal sealed class ServerWatch(TimeProvider time)
{
    /// <summary>Between beats, and between looks at those of others.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Without a beat. Five were missed then.</summary>
    public static readonly TimeSpan LostAfter = TimeSpan.FromSeconds(6);

    /// <summary>Between two looks that count as looking all the time.</summary>
    private static readonly TimeSpan LongestGap = TimeSpan.FromSeconds(3);

    private readonly Dictionary<string, (long Beat, long Since)> seen = new(StringComparer.Ordinal);
    private long? looked;

    /// <summary>The servers that are lost, of those that were just read.</summary>
    public IReadOnlyList<ServerBeat> Look(IReadOnlyList<ServerBeat> servers)
    {
        long now = time.GetTimestamp();
        if (looked is not { } last || time.GetElapsedTime(last, now) > LongestGap)
        {
            seen.Clear();
        }

        looked = now;
        List<ServerBeat> lost = [];
        foreach (ServerBeat server in servers)
        {
            if (server.IsSelf)
            {
                continue;
            }

            if (!seen.TryGetValue(server.Id, out (long Beat, long Since) before) || before.Beat != server.Beat)
            {
                seen[server.Id] = (server.Beat, now);
            }
            else if (time.GetElapsedTime(before.Since, now) >= LostAfter)
            {
                lost.Add(server);
            }
        }

        return lost;
    }
}
