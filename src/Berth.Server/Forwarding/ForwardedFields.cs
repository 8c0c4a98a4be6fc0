using System.Collections.Frozen;
using Berth.Server.Hosting;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Forwarding;

/// <summary>Which headers pass between a caller and a program: all but those of one connection (RFC 9110, section
/// 7.6.1), Berth's own, and, on the way there, the caller's token and what is set anew.</summary>
internal static class ForwardedFields
{
    private const string OwnPrefix = "Berth-";

    private static readonly FrozenSet<string> OfConnections = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase, "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
        "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings");

    /// <summary>What a caller says of its way here is not known to be true.</summary>
    private static readonly FrozenSet<string> SetAnew = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase, "Host", "Content-Length", "Expect", "Authorization", "Forwarded",
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix");

    /// <param name="connection">The Connection header beside it, which names further headers of the connection.
    /// </param>
    /// <param name="hasWay">Whether what it says of its way here is to be believed.</param>
    public static bool IsRequestField(string name, StringValues connection, bool hasWay) =>
        !SetAnew.Contains(name) && name[0] != ':' && IsAnswerField(name, connection)
        && (hasWay || !TrustedProxies.Concerns(name));

    /// <param name="connection">As with requests.</param>
    public static bool IsAnswerField(string name, StringValues connection) =>
        !OfConnections.Contains(name) && !name.StartsWith(OwnPrefix, StringComparison.OrdinalIgnoreCase)
        && (connection.Count == 0 || !Names(connection, name));

    /// <summary>Whether a header that is a list of words has this one.</summary>
    public static bool Names(StringValues list, string word)
    {
        foreach (string? value in list)
        {
            foreach (Range part in value.AsSpan().Split(','))
            {
                if (value.AsSpan(part).Trim().Equals(word, StringComparison.OrdinalIgnoreCase))
                {
                    return true;
                }
            }
        }

        return false;
    }
}
