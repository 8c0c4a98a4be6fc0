using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace Berth.Core.Networks;

/// <summary>One rule of where a network's programs may connect to.</summary>
public sealed record EgressRule(bool Allow, IPNetwork To)
{
    /// <summary>Whether it fits addresses that are closed where no rule opens them.</summary>
    public bool IsOpening => EgressRules.Closed.Any(closed => EgressRules.Overlap(closed, To));

    public override string ToString() => $"{(Allow ? "allow" : "deny")}:{To}";
}

/// <summary>
/// Where the programs of a network may connect to outside of it. The first rule that fits decides; where none does,
/// public addresses are open and <see cref="Closed"/> ones are not.
/// </summary>
public sealed class EgressRules
{
    public const int MaxRules = 64;

    private EgressRules(IReadOnlyList<EgressRule> rules) => Rules = rules;

    public static EgressRules None { get; } = new([]);

    /// <summary>Link-local addresses: the metadata of clouds is there. No rule opens them.</summary>
    public static IPNetwork LinkLocal { get; } = IPNetwork.Parse("169.254.0.0/16");

    /// <summary>Addresses that mean something inside only: the machines themselves, and what stands beside them. IANA's
    /// special-purpose registry (RFC 6890), multicast and what is reserved.</summary>
    public static IReadOnlyList<IPNetwork> Closed { get; } =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/3",
        }.Select(IPNetwork.Parse),
    ];

    public IReadOnlyList<EgressRule> Rules { get; }

    /// <summary>Reads rules such as <c>allow:10.1.0.0/16</c> and <c>deny:0.0.0.0/0</c>.</summary>
    public static bool TryParse(IReadOnlyList<string> texts, [NotNullWhen(true)] out EgressRules? rules)
    {
        rules = null;
        List<EgressRule> read = [];
        foreach (string text in texts)
        {
            if (Parse(text) is not { } rule)
            {
                return false;
            }

            read.Add(rule);
        }

        rules = read.Count <= MaxRules ? new EgressRules(read) : null;
        return rules is not null;
    }

    /// <summary>Whether a connection to this address may be made.</summary>
    public bool Allows(IPAddress address) =>
        !LinkLocal.Contains(address)
        && (Rules.FirstOrDefault(rule => rule.To.Contains(address))?.Allow
            ?? !Closed.Any(closed => closed.Contains(address)));

    /// <summary>The rules in one text, by which two are the same.</summary>
    public override string ToString() => string.Join(' ', Rules);

    /// <summary>What a definition carries.</summary>
    public static EgressRules Restore(string text) =>
        TryParse(text.Split(' ', StringSplitOptions.RemoveEmptyEntries), out EgressRules? rules)
            ? rules
            : throw new InvalidOperationException($"The rules '{text}' can't be read.");

    /// <summary>Whether two ranges have an address in common.</summary>
    public static bool Overlap(IPNetwork one, IPNetwork other) =>
        one.Contains(other.BaseAddress) || other.Contains(one.BaseAddress);

    private static EgressRule? Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string verb = colon < 0 ? "" : text[..colon];
        string range = text[(colon + 1)..];
        string whole = range.Contains('/', StringComparison.Ordinal) ? range : range + "/32";
        return verb is "allow" or "deny" && IPNetwork.TryParse(whole, out IPNetwork network)
            && network.BaseAddress.AddressFamily == AddressFamily.InterNetwork
            ? new EgressRule(verb == "allow", network)
            : null;
    }
}
