using System.Net;

namespace Berth.Core.Networks;

/// <summary>What a machine says of itself that others encrypt by. It is believed as long as nobody else says the same:
/// else one machine could have what is meant for another.</summary>
public sealed record PeerClaim(string Node, IPAddress Address, PeerKey Key)
{
    /// <summary>Machines that have an address or a key in common with another. Nobody can tell which of them has it.
    /// </summary>
    public static IReadOnlySet<string> Doubtful(IEnumerable<PeerClaim> claims)
    {
        PeerClaim[] all = [.. claims.Distinct()];
        return Shared(all, c => c.Address.ToString()).Concat(Shared(all, c => c.Key.Public))
            .ToHashSet(StringComparer.Ordinal);
    }

    private static IEnumerable<string> Shared(PeerClaim[] claims, Func<PeerClaim, string> by) =>
        claims.GroupBy(by, StringComparer.Ordinal).Select(g => g.Select(c => c.Node).Distinct().ToArray())
            .Where(nodes => nodes.Length > 1).SelectMany(nodes => nodes);
}
