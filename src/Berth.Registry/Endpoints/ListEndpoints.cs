using System.Globalization;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Access;
using Berth.Registry.Mirrors;
using Microsoft.AspNetCore.Http;

namespace Berth.Registry.Endpoints;

/// <summary>The lists: repositories, tags, and what refers to a manifest. All are sorted and come in parts.</summary>
internal sealed class ListEndpoints(RepositoryStore repositories, MirrorCache mirrors)
{
    private const int MaxEntries = 1000;

    // Annotations of a referrer may fill a manifest; clients take an index of as much as a manifest.
    private const int MaxIndexBytes = ManifestDocument.MaxBytes;

    public Task CatalogAsync(HttpContext context, RequestAccess access)
    {
        int limit = ReadLimit(context.Request);
        string last = context.Request.Query["last"].ToString();
        List<string> found = [.. repositories.Names(last.Length == 0 ? null : last)
            .Where(access.MayList)
            .Take(limit + 1)];
        if (found.Count > limit)
        {
            found.RemoveAt(limit);
            WriteNext(context, limit, found.Count == 0 ? last : found[^1]);
        }

        return context.Response.WriteAsJsonAsync(
            new RepositoryList(found), RegistryAnswers.Default.RepositoryList, contentType: null,
            context.RequestAborted);
    }

    public Task TagsAsync(HttpContext context, string repository)
    {
        int limit = ReadLimit(context.Request);
        string last = context.Request.Query["last"].ToString();
        Page<TagLink> page = repositories.Tags(repository, last.Length == 0 ? null : last, limit)
            ?? throw new BerthException(ErrorCode.NotFound, $"There is no repository {repository}.");
        if (page.More && page.Entries.Count > 0)
        {
            WriteNext(context, limit, page.Entries[^1].Tag);
        }

        return context.Response.WriteAsJsonAsync(
            new TagList(repository, [.. page.Entries.Select(t => t.Tag)]), RegistryAnswers.Default.TagList,
            contentType: null, context.RequestAborted);
    }

    /// <summary>
    /// An index of the manifests about a subject, also for one that is not here (yet): then it is empty.
    /// </summary>
    public async Task ReferrersAsync(HttpContext context, string repository, Digest subject)
    {
        string? type = context.Request.Query.TryGetValue("artifactType", out var filter) ? filter.ToString() : null;
        string last = context.Request.Query["last"].ToString();
        IEnumerable<Descriptor> all =
            await mirrors.FindReferrersAsync(repository, subject, context.RequestAborted) is { } upstream
                ? upstream.Where(d => last.Length == 0 || string.CompareOrdinal(d.DigestText, last) > 0)
                : repositories.Referrers(repository, subject, last.Length == 0 ? null : last);
        List<Descriptor> found = [];
        long bytes = 0;
        foreach (Descriptor descriptor in all.Where(d => type is null || d.ArtifactType == type))
        {
            bytes += JsonSerializer.SerializeToUtf8Bytes(descriptor, OciJson.Default.Descriptor).Length;
            if (found.Count == MaxEntries || (found.Count > 0 && bytes > MaxIndexBytes))
            {
                string keep = type is null ? "" : $"artifactType={Uri.EscapeDataString(type)}&";
                context.Response.Headers.Link =
                    $"<{context.Request.Path}?{keep}last={found[^1].DigestText}>; rel=\"next\"";
                break;
            }

            found.Add(descriptor);
        }

        if (type is not null)
        {
            context.Response.Headers["OCI-Filters-Applied"] = "artifactType";
        }

        await context.Response.WriteAsJsonAsync(
            new ImageIndex(2, MediaTypes.OciIndex, found), RegistryAnswers.Default.ImageIndex, MediaTypes.OciIndex,
            context.RequestAborted);
    }

    private static int ReadLimit(HttpRequest request)
    {
        if (!request.Query.TryGetValue("n", out var text))
        {
            return MaxEntries;
        }

        return long.TryParse(text.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out long limit)
            ? (int)Math.Min(limit, MaxEntries)
            : throw new BerthException(ErrorCode.InvalidRequest, $"n={text} is not a number of entries from 0.");
    }

    private static void WriteNext(HttpContext context, int limit, string last)
    {
        if (limit > 0)
        {
            context.Response.Headers.Link =
                $"<{context.Request.Path}?n={limit}&last={Uri.EscapeDataString(last)}>; rel=\"next\"";
        }
    }
}
