using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using Berth.Api.Links;

namespace Berth.Node.Neighbours;

/// <summary>
/// Who may fetch layers here: a node with a certificate of the same authority that a server still knows. Servers are
/// asked for each certificate, and their word holds for a while.
/// </summary>
/// <param name="isKnown">Asks a server whether the node of that name has the certificate of that SHA-256; false where
/// no server answers.</param>
internal sealed class Guests(
    X509Certificate2 authority, Func<string, string, CancellationToken, Task<bool>> isKnown, TimeProvider time)
{
    /// <summary>Certificates that are remembered.</summary>
    private const int Most = 1000;

    /// <summary>A node that was removed may read so long still.</summary>
    private static readonly TimeSpan Welcome = TimeSpan.FromSeconds(30);

    /// <summary>One that has just joined, and that a server had not heard of, is asked for again.</summary>
    private static readonly TimeSpan Unwelcome = TimeSpan.FromSeconds(3);

    private readonly ConcurrentDictionary<string, (bool IsKnown, long At)> said = new(StringComparer.Ordinal);

    /// <summary>Whether a certificate is one for a node, signed by the authority and valid now.</summary>
    public bool IsNode(X509Certificate2 presented) => LinkCertificates.IsSigned(
        presented, authority, LinkCertificates.ClientUse, time.GetUtcNow());

    /// <summary>Whether it is, and its node was not removed.</summary>
    public async Task<bool> IsWelcomeAsync(X509Certificate2 presented, CancellationToken cancellationToken)
    {
        // The connection may be older than the certificate's end.
        if (!IsNode(presented))
        {
            return false;
        }

        string hash = LinkCertificates.FingerprintOf(presented);
        if (said.TryGetValue(hash, out (bool IsKnown, long At) last)
            && time.GetElapsedTime(last.At) < (last.IsKnown ? Welcome : Unwelcome))
        {
            return last.IsKnown;
        }

        string name = presented.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
        bool answer = await isKnown(name, hash, cancellationToken);
        if (said.Count >= Most)
        {
            said.Clear();
        }

        said[hash] = (answer, time.GetTimestamp());
        return answer;
    }
}
