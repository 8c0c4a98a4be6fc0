using System.Collections.Concurrent;
using System.Collections.Immutable;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;

namespace Berth.Oci.Repositories;

/// <summary>
/// The repositories: which manifests, tags and blobs each holds. Content itself is in the content store, shared by all;
/// a repository only links it, and a blob can be had only through a repository that links it. What is written is
/// durable when the call returns. One process uses the folder at a time, so tags and manifests are kept in memory.
/// </summary>
public sealed class RepositoryStore
{
    private readonly string folder;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<string, Repository> open = new();
    private readonly IRepositoryRules rules;
    private readonly ITagListener? listener;
    private readonly Func<Digest, long?> sizeOf;
    private readonly Lock gate = new();

    // Held from the look at a quota to the change that uses it up: changes that could pass it together come one by one.
    private readonly Lock admission = new();
    private ImmutableSortedSet<string> names;

    /// <param name="folder">The <c>repositories</c> folder of the data folder.</param>
    /// <param name="content">Where the content is that repositories link.</param>
    /// <param name="rules">Asked before changes; null where all may be changed.</param>
    /// <param name="listener">Told of changes of tags.</param>
    public RepositoryStore(
        string folder, TimeProvider time, IContentStore? content = null, IRepositoryRules? rules = null,
        ITagListener? listener = null)
    {
        this.listener = listener;
        sizeOf = content is null ? _ => null : content.SizeOf;
        this.rules = rules ?? new NoRules();
        this.folder = Path.GetFullPath(folder);
        this.time = time;
        DurableFile.CreateFolder(this.folder);
        names = RepositoryFolder.FindNames(this.folder).ToImmutableSortedSet(StringComparer.Ordinal);
    }

    /// <summary>Told of a repository whose manifests or tags were changed, but for what was adopted; set before
    /// anything runs.</summary>
    public Action<string> Changed { get; set; } = static _ => { };

    /// <summary>
    /// Names of the repositories that hold a manifest, sorted by bytes, after <paramref name="after"/>.
    /// </summary>
    public IEnumerable<string> Names(string? after = null)
    {
        ImmutableSortedSet<string> all = names;
        int start = after is null ? 0 : all.IndexOf(after) is >= 0 and int at ? at + 1 : ~all.IndexOf(after);
        for (int i = start; i < all.Count; i++)
        {
            if (Find(all[i]) is { Manifests.IsEmpty: false })
            {
                yield return all[i];
            }
        }
    }

    /// <summary>Whether anything was ever pushed to the repository and is there still.</summary>
    public bool Exists(string repository) => Find(repository) is { Manifests.IsEmpty: false };

    public TagLink? FindTag(string repository, string tag) => Find(repository)?.Tags.GetValueOrDefault(tag);

    public ManifestLink? FindManifest(string repository, Digest digest) =>
        Find(repository)?.Manifests.GetValueOrDefault(digest);

    /// <summary>The manifest that a tag or a digest names in a repository, or null.</summary>
    public ManifestLink? FindManifest(string repository, string tagOrDigest) =>
        Digest.TryParse(tagOrDigest, out Digest digest) ? FindManifest(repository, digest)
        : FindTag(repository, tagOrDigest) is { } tag ? FindManifest(repository, tag.Digest)
        : null;

    /// <summary>
    /// Tags sorted by bytes, after <paramref name="after"/>, or null when there is no such repository.
    /// </summary>
    public Page<TagLink>? Tags(string repository, string? after, int limit)
    {
        if (Find(repository) is not { Manifests.IsEmpty: false } found)
        {
            return null;
        }

        List<TagLink> page = [.. found.Tags.Values
            .Where(t => after is null || string.CompareOrdinal(t.Tag, after) > 0)
            .Take(limit + 1)];
        return page.Count > limit ? new Page<TagLink>(page[..limit], More: true) : new Page<TagLink>(page, More: false);
    }

    /// <summary>Every manifest that the repository holds.</summary>
    public IReadOnlyCollection<ManifestLink> Manifests(string repository) =>
        Find(repository) is { } found ? [.. found.Manifests.Values] : [];

    /// <summary>
    /// Descriptors of the manifests about <paramref name="subject"/>, sorted by digest, after <paramref name="after"/>;
    /// read from the disk one by one.
    /// </summary>
    public IEnumerable<Descriptor> Referrers(string repository, Digest subject, string? after = null) =>
        Find(repository)?.Referrers(subject, after) ?? [];

    /// <summary>
    /// What upstream listed about <paramref name="subject"/>, for a repository that is a cache; null when nothing was
    /// kept. Asking for a repository makes none.
    /// </summary>
    public IReadOnlyList<Descriptor>? UpstreamReferrers(string repository, Digest subject) =>
        ImageReference.IsRepository(repository)
            ? Repository.UpstreamReferrers(new RepositoryFolder(Path.Combine(folder, repository)), subject)
            : null;

    /// <summary>Keeps what upstream listed about <paramref name="subject"/>.</summary>
    public void PutUpstreamReferrers(string repository, Digest subject, IReadOnlyList<Descriptor> list) =>
        OpenOrCreate(repository).PutUpstreamReferrers(subject, list);

    /// <summary>Whether the repository links the blob.</summary>
    public bool HasBlob(string repository, Digest digest) => Find(repository)?.HasBlob(digest) ?? false;

    /// <summary>
    /// As <see cref="HasBlob"/>, and keeps the link from being collected for the grace period: whoever was told may
    /// rely on it.
    /// </summary>
    public bool PromiseBlob(string repository, Digest digest) =>
        Find(repository)?.PromiseBlob(digest, time.GetUtcNow()) ?? false;

    /// <summary>Makes a stored blob available through the repository. Throws <c>QuotaExceeded</c>.</summary>
    public void LinkBlob(string repository, Digest digest) => Admit(
        repository,
        target => target.HasBlob(digest) ? 0 : sizeOf(digest) ?? 0,
        target =>
        {
            target.LinkBlob(digest, time.GetUtcNow());
            return true;
        });

    /// <summary>Takes a blob out of the repository. Returns false when it was not there.</summary>
    public bool UnlinkBlob(string repository, Digest digest) => Find(repository)?.UnlinkBlob(digest) ?? false;

    /// <summary>
    /// Adds a manifest whose bytes are in the content store, links the blobs it names, and points the tags at it. The
    /// caller checked that the content is there and holds a lease on it. Throws <c>QuotaExceeded</c>,
    /// <c>TagImmutable</c>.
    /// </summary>
    /// <param name="linkBlobs">False for a manifest whose content is not here yet.</param>
    public ManifestLink PutManifest(
        string repository, IReadOnlyList<string> tags, Digest digest, long size, ManifestDocument document,
        bool linkBlobs = true)
    {
        ManifestLink link = new(digest, document.MediaType, size, document.Subject?.Digest, time.GetUtcNow());
        return Told(repository, Announced(
            tags.Where(t => FindTag(repository, t)?.Digest != digest)
                .Select(t => new TagChange(repository, t, TagAction.Push, link)),
            () => Admit(
                repository,
                target => target.GrowthBy(digest, size, linkBlobs ? document : null),
                target => target.Put(tags, digest, size, document, time.GetUtcNow(), linkBlobs))));
    }

    /// <summary>As the other, with one tag or none.</summary>
    public ManifestLink PutManifest(
        string repository, string? tag, Digest digest, long size, ManifestDocument document) =>
        PutManifest(repository, tag is null ? [] : [tag], digest, size, document);

    /// <summary>Removes a tag; the manifest stays. Returns false when there is no such tag.</summary>
    public bool DeleteTag(string repository, string tag) => Told(
        repository,
        FindTag(repository, tag) is { } link && FindManifest(repository, link.Digest) is { } manifest
            ? Announced(
                [new TagChange(repository, tag, TagAction.Delete, manifest)],
                () => Find(repository)?.DeleteTag(tag) ?? false)
            : Find(repository)?.DeleteTag(tag) ?? false);

    /// <summary>Removes a manifest and the tags that point at it. Returns false when it is not there.</summary>
    public bool DeleteManifest(string repository, Digest digest) =>
        FindManifest(repository, digest) is { } manifest && Find(repository) is { } found && Announced(
            found.Tags.Values.Where(t => t.Digest == digest)
                .Select(t => new TagChange(repository, t.Tag, TagAction.Delete, manifest)),
            () => Told(repository, found.DeleteManifest(digest)));

    /// <summary>Adds a manifest that another server of the same repositories has accepted: no rule is asked, and nobody
    /// told.</summary>
    public void AdoptManifest(
        string repository, Digest digest, long size, ManifestDocument document, DateTimeOffset pushedAt) =>
        OpenOrCreate(repository).Put([], digest, size, document, pushedAt, linkBlobs: false);

    /// <summary>As <see cref="AdoptManifest"/>, a tag; one that was moved here later stays. False where its manifest is
    /// not here.</summary>
    public bool AdoptTag(string repository, string tag, Digest digest, DateTimeOffset taggedAt)
    {
        if (FindManifest(repository, digest) is null)
        {
            return false;
        }

        OpenOrCreate(repository).AdoptTag(tag, digest, taggedAt);
        return true;
    }

    /// <summary>Makes a stored blob available through the repository without a look at quotas.</summary>
    public void AdoptBlob(string repository, Digest digest) =>
        OpenOrCreate(repository).LinkBlob(digest, time.GetUtcNow());

    /// <summary>Takes a tag or a manifest away that another server has deleted, unless it is newer here.</summary>
    public void Disown(string repository, string tagOrDigest, DateTimeOffset goneAt)
    {
        if (Find(repository) is not { } found)
        {
            return;
        }

        if (!Digest.TryParse(tagOrDigest, out Digest digest))
        {
            found.DeleteTag(tagOrDigest, goneAt);
        }
        else if (found.Manifests.GetValueOrDefault(digest) is { } link && link.PushedAt <= goneAt)
        {
            found.DeleteManifest(digest, isForced: true);
        }
    }

    /// <summary>
    /// Removes links to blobs that no manifest of the repository names, when they are older than
    /// <paramref name="unusedSince"/> or their blob is gone.
    /// </summary>
    /// <param name="seen">Manifests of the repository that were read; if it has others by
    /// now, nothing is removed.</param>
    /// <param name="named">Blobs that those manifests name.</param>
    public int SweepBlobLinks(
        string repository, IReadOnlySet<Digest> seen, IReadOnlySet<Digest> named, DateTimeOffset unusedSince,
        Func<Digest, bool> isStored) =>
        Find(repository)?.SweepBlobLinks(seen, named, unusedSince, isStored) ?? 0;

    /// <summary>Bytes of what the repository links; a blob in two repositories counts in each.</summary>
    public long BytesOf(string repository) => Find(repository)?.Bytes ?? 0;

    /// <summary>Bytes of all repositories that count towards a quota.</summary>
    public long BytesOf(RepositoryQuota quota) => names.Where(quota.Covers).Sum(BytesOf);

    /// <summary>The smallest quota of a repository, or null: nothing larger will ever be taken.</summary>
    public RepositoryQuota? SmallestQuotaOf(string repository) => rules.QuotasOf(repository).MinBy(q => q.Bytes);

    /// <summary>Every repository, also one that holds only blobs.</summary>
    public IReadOnlyCollection<string> AllNames() => names;

    private static void Check(string repository)
    {
        if (!ImageReference.IsRepository(repository))
        {
            throw new BerthException(
                ErrorCode.InvalidReference,
                $"'{(repository.Length > 300 ? repository[..300] + "…" : repository)}' is not a repository name: "
                + "expected lower-case letters and digits with . _ - / between them, at most 255 characters.");
        }
    }

    private T Announced<T>(IEnumerable<TagChange> changes, Func<T> change)
    {
        if (listener is null || changes.ToArray() is not { Length: > 0 } told)
        {
            return change();
        }

        Action revoke = listener.Announce(told);
        try
        {
            return change();
        }
        catch
        {
            revoke();
            throw;
        }
    }

    private T Told<T>(string repository, T result)
    {
        Changed(repository);
        return result;
    }

    private T Admit<T>(string repository, Func<Repository, long> growth, Func<Repository, T> commit)
    {
        Repository target = OpenOrCreate(repository);
        IReadOnlyList<RepositoryQuota> quotas = rules.QuotasOf(repository);
        if (quotas.Count == 0)
        {
            return commit(target);
        }

        lock (admission)
        {
            long bytes = growth(target);
            foreach (RepositoryQuota quota in bytes > 0 ? quotas : [])
            {
                long held = BytesOf(quota);
                if (held + bytes > quota.Bytes)
                {
                    string whose = quota.Scope == "*" ? "All repositories" : $"The repositories of '{quota.Scope}'";
                    throw new BerthException(
                        ErrorCode.QuotaExceeded,
                        $"{whose} hold {held} of {quota.Bytes} bytes, and this would add {bytes}: remove images and "
                        + "collect garbage, or have the quota raised.");
                }
            }

            return commit(target);
        }
    }

    private Repository? Find(string repository)
    {
        if (open.TryGetValue(repository, out Repository? found))
        {
            return found;
        }

        return names.Contains(repository) ? OpenOrCreate(repository) : null;
    }

    private Repository OpenOrCreate(string repository)
    {
        if (open.TryGetValue(repository, out Repository? found))
        {
            return found;
        }

        Check(repository);
        lock (gate)
        {
            if (!open.TryGetValue(repository, out found))
            {
                found = Repository.Load(
                    Path.Combine(folder, repository), sizeOf, tag => rules.IsImmutable(repository, tag));
                open[repository] = found;
                names = names.Add(repository);
            }

            return found;
        }
    }
}
