using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Mirrors;

/// <summary>
/// What upstream lists as referring to a manifest (signatures, bills of materials), asked again after a minute, kept as
/// it was told, and served while upstream fails. A list that was never had is a failure and not an empty one: whoever
/// asks for signatures takes "none" for an answer.
/// </summary>
internal sealed class ReferrersCache(
    RepositoryStore repositories, UpstreamConnections connections, TimeProvider time, ILogger logger,
    CancellationToken stopping)
{
    private readonly UpstreamQuestions<IReadOnlyList<Descriptor>> questions = new(time, logger, stopping);

    /// <summary>Sorted by digest. Throws <c>Upstream</c> when that fails and nothing is here.</summary>
    public async Task<IReadOnlyList<Descriptor>> FindAsync(
        string repository, Digest subject, UpstreamRepository upstream, CancellationToken cancellationToken)
    {
        string reference = $"referrers/{subject}";
        IReadOnlyList<Descriptor>? here = repositories.UpstreamReferrers(repository, subject);
        return here is not null && questions.IsFresh(repository, reference)
            ? here
            : (await questions.AskAsync(
                repository, reference, upstream, here,
                async stop => await AskAsync(repository, subject, upstream, stop), cancellationToken))!;
    }

    private async Task<IReadOnlyList<Descriptor>> AskAsync(
        string repository, Digest subject, UpstreamRepository upstream, CancellationToken cancellationToken)
    {
        try
        {
            RegistryRepository origin = connections.Of(upstream);
            Descriptor[] told =
            [
                .. (await origin.ReferrersAsync(subject, cancellationToken))
                    .DistinctBy(d => d.DigestText).OrderBy(d => d.DigestText, StringComparer.Ordinal),
            ];

            // That nothing refers to what nobody has pulled is not worth a file: names can be made up.
            if (told.Length > 0 || repositories.UpstreamReferrers(repository, subject) is not null
                || repositories.FindManifest(repository, subject) is not null)
            {
                repositories.PutUpstreamReferrers(repository, subject, told);
            }

            return told;
        }
        catch (BerthException e) when (MirrorCache.IsUpstreams(e))
        {
            throw new BerthException(ErrorCode.Upstream, e.Message, e);
        }
    }
}
