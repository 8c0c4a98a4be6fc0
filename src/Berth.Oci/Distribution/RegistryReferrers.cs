using System.Net;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>
/// The manifests about another one (signatures, bills of materials) in a repository of a registry: asked of the
/// registry, or, where it keeps no such list, of the tag that clients keep in its place.
/// </summary>
public sealed partial class RegistryRepository
{
    /// <summary>More are no image's need; all are held in memory.</summary>
    private const int MaxReferrers = 10_000;

    private const int MaxReferrerPages = 100;

    // Each after somebody else changed the list meanwhile.
    private const int ReferrerTries = 3;

    /// <summary>Descriptors of the manifests about a subject, in the registry's order; empty when there are none.
    /// Throws BerthException when that can't be known.</summary>
    public async Task<IReadOnlyList<Descriptor>> ReferrersAsync(Digest subject, CancellationToken cancellationToken)
    {
        List<Descriptor> found = [];
        Uri? page = new(root, $"referrers/{subject}");
        for (int pages = 0; page is not null; pages++)
        {
            using HttpRequestMessage request = new(HttpMethod.Get, page);
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(MediaTypes.OciIndex));
            using HttpResponseMessage response = await SendAsync(request, cancellationToken);
            if (pages == 0 && KeepsNoReferrers(response))
            {
                return await ReferrersOfTagAsync(subject, cancellationToken);
            }

            await CheckAsync(response, $"listing what refers to {subject}", cancellationToken);
            await using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken);
            byte[] bytes = await BlobReading.ReadAsync(
                body, $"The list of what refers to {subject}", ManifestDocument.MaxBytes, cancellationToken);
            found.AddRange(ManifestDocument.Parse(bytes, MediaTypes.OciIndex).Children);
            page = NextPage(response, page);
            if (found.Count > MaxReferrers || pages == MaxReferrerPages)
            {
                throw new BerthException(
                    ErrorCode.Upstream,
                    $"{root.Authority} lists more than {MaxReferrers} manifests, or on more than {MaxReferrerPages} "
                    + $"pages, that refer to {subject} in {name}.");
            }
        }

        return found;
    }

    /// <summary>An answer other than a list comes from what stands before a registry that knows of none.</summary>
    private static bool KeepsNoReferrers(HttpResponseMessage response) =>
        response.StatusCode == HttpStatusCode.NotFound
        || (response.IsSuccessStatusCode && response.Content.Headers.ContentType?.MediaType != MediaTypes.OciIndex);

    private Uri? NextPage(HttpResponseMessage response, Uri page)
    {
        if (!response.Headers.TryGetValues("Link", out IEnumerable<string>? links)
            || NextLink().Match(string.Join(',', links)) is not { Success: true } link)
        {
            return null;
        }

        Uri next = new(page, link.Groups["address"].Value);
        return RegistryAuthorization.IsSameOrigin(next, root)
            ? next
            : throw new BerthException(
                ErrorCode.Upstream, $"{root.Authority} has a list go on at {next.Authority}, which is not asked.");
    }

    private async Task<IReadOnlyList<Descriptor>> ReferrersOfTagAsync(
        Digest subject, CancellationToken cancellationToken)
    {
        try
        {
            ManifestContent? list = await FindListAsync(ReferrersTag.Of(subject), cancellationToken);
            return list?.MediaType == MediaTypes.OciIndex ? list.Parse().Index!.Manifests : [];
        }
        catch (BerthException e) when (e.Code is ErrorCode.ManifestInvalid)
        {
            // "the client SHOULD assume there are no referrers"
            return [];
        }
    }

    /// <summary>
    /// Enters a manifest into its subject's list at a registry that does not keep one. What was written is read again:
    /// of two clients that do this at once, one would lose its entry.
    /// </summary>
    private async Task ListReferrerAsync(Digest subject, ManifestContent manifest, CancellationToken cancellationToken)
    {
        string tag = ReferrersTag.Of(subject);
        Descriptor referrer = manifest.Parse().AsReferrer(manifest.Digest, manifest.Bytes.Length);
        try
        {
            for (int i = 0; i < ReferrerTries; i++)
            {
                ManifestContent? before = await FindListAsync(tag, cancellationToken);
                if (ReferrersTag.Add(before, referrer) is not { } list)
                {
                    return;
                }

                await PutManifestAsync(list, tag, cancellationToken);
            }
        }
        catch (BerthException e)
        {
            throw new BerthException(
                e.Code,
                $"The manifest {manifest.Digest} was published in {name} at {root.Authority}, but not listed there as "
                + $"one about {subject} (tag {tag}): {e.Message}",
                e);
        }
    }

    private async Task<ManifestContent?> FindListAsync(string tag, CancellationToken cancellationToken)
    {
        try
        {
            return await GetManifestAsync(tag, cancellationToken);
        }
        catch (BerthException e) when (e.Code == ErrorCode.ImageNotFound)
        {
            return null;
        }
    }

    [GeneratedRegex("<(?<address>[^>]+)>[^,]*;\\s*rel=\"?next\"?", RegexOptions.IgnoreCase)]
    private static partial Regex NextLink();
}
