using Berth.Api.Links;
using Berth.Server.Cluster;
using Berth.Server.Metrics;

namespace Berth.Server.Nodes;

/// <summary>What /metrics tells of machines and servers, as this server sees them.</summary>
internal sealed class NodeFigures(NodeRegister register, PeerDirectory servers, TimeProvider time)
{
    /// <summary>A node renews its certificate when ten days are left, and tries again every ten minutes.</summary>
    private static readonly TimeSpan CertificateIsLate = TimeSpan.FromDays(5);

    /// <summary>Of a node's disk: below it images soon find no room there.</summary>
    private const double LeastShare = 0.1;

    private static readonly string[] States = ["joined", "ready", "suspect", "lost", "refused"];

    public void Write(MetricText text)
    {
        NodeEntry[] nodes = [.. register.All];
        ILookup<string, NodeEntry> byState = nodes.ToLookup(register.StateOf);
        text.Begin(MetricCatalog.Nodes);
        foreach (string state in States)
        {
            text.Sample(byState[state].Count(), state);
        }

        DateTimeOffset late = time.GetUtcNow() + CertificateIsLate;
        text.Single(MetricCatalog.NodesCordoned, nodes.Count(n => n.Record.IsCordoned));
        text.Single(MetricCatalog.CertificatesLate, nodes.Count(n => n.Record.ExpiresAt <= late));
        text.Single(MetricCatalog.NodeDisksLow, nodes.Count(n => n.Heartbeat is { } beat && IsLow(beat)));
        text.Begin(MetricCatalog.NodeFetched)
            .Sample(register.Fetched.FromNeighbours, "neighbours").Sample(register.Fetched.FromServers, "servers");
        text.Single(MetricCatalog.Servers, servers.Count);
    }

    private static bool IsLow(NodeHeartbeat beat) => beat.DiskTotal > 0 && beat.DiskFree < beat.DiskTotal * LeastShare;
}
