using System.Collections.Immutable;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;

namespace Berth.Oci.Repositories;

/// <summary>
/// One repository's links, on disk and in memory. Readers see an immutable snapshot and never wait; changes are made
/// one at a time, on disk first.
/// </summary>
internal sealed class Repository
{
    private readonly RepositoryFolder folder;
    private readonly Lock gate = new();
    private readonly Func<Digest, long?> sizeOf;
    private readonly Func<string, bool> isImmutable;

    // Null until it is asked for and after something went: counting anew is rarer than adding.
    private long? bytes;

    private Repository(RepositoryFolder folder, Func<Digest, long?> sizeOf, Func<string, bool> isImmutable)
    {
        this.folder = folder;
        this.sizeOf = sizeOf;
        this.isImmutable = isImmutable;
    }

    public ImmutableSortedDictionary<string, TagLink> Tags { get; private set; } =
        ImmutableSortedDictionary.Create<string, TagLink>(StringComparer.Ordinal);

    public ImmutableDictionary<Digest, ManifestLink> Manifests { get; private set; } =
        ImmutableDictionary<Digest, ManifestLink>.Empty;

    /// <summary>Bytes of the manifests and blobs that it links.</summary>
    public long Bytes
    {
        get
        {
            lock (gate)
            {
                bytes ??= Manifests.Values.Sum(m => m.Size) + RepositoryFolder.FilesOf(folder.Blobs)
                    .Sum(f => RepositoryFolder.TryParse(f.Name, out Digest digest) ? sizeOf(digest) ?? 0 : 0);
                return bytes.Value;
            }
        }
    }

    /// <param name="sizeOf">Size of a stored blob.</param>
    /// <param name="isImmutable">Whether a tag may neither be moved nor removed.</param>
    public static Repository Load(string path, Func<Digest, long?> sizeOf, Func<string, bool> isImmutable)
    {
        RepositoryFolder folder = new(path);
        folder.RemoveTemporary();
        Repository repository = new(folder, sizeOf, isImmutable);
        repository.Manifests = RepositoryFolder.FilesOf(folder.Manifests)
            .Select(ReadManifest).OfType<ManifestLink>().ToImmutableDictionary(m => m.Digest);
        repository.Tags = RepositoryFolder.FilesOf(folder.Tags)
            .Select(ReadTag).OfType<TagLink>()
            .ToImmutableSortedDictionary(t => t.Tag, t => t, StringComparer.Ordinal);
        return repository;
    }

    public ManifestLink Put(
        IReadOnlyList<string> tags, Digest digest, long size, ManifestDocument document, DateTimeOffset now,
        bool linkBlobs)
    {
        lock (gate)
        {
            // 1. Nothing is changed before it is known that all may be.
            CheckMutable(tags.Where(t => Tags.TryGetValue(t, out TagLink? now) && now.Digest != digest));

            // 2. What it names, itself, and then its names.
            LinkBlobs(linkBlobs ? OwnBlobs(document).Select(b => b.Digest) : [], now);
            CrashPoints.Reach(CrashPoint.ManifestBlobsLinked);
            ManifestLink link = Manifests.GetValueOrDefault(digest)
                ?? new ManifestLink(digest, document.MediaType, size, document.Subject?.Digest, now);
            if (!Manifests.ContainsKey(digest))
            {
                // The referrer first: an entry without its manifest is passed over, a manifest without
                // its entry is lost.
                WriteReferrer(link, document);
                CrashPoints.Reach(CrashPoint.ReferrerWritten);
                DurableFile.Replace(
                    folder.Manifest(digest),
                    JsonSerializer.SerializeToUtf8Bytes(
                        new ManifestLinkFile(link.MediaType, size, link.Subject?.Text, now),
                        RepositoryJson.Default.ManifestLinkFile));
                CrashPoints.Reach(CrashPoint.ManifestLinked);
                Manifests = Manifests.Add(digest, link);
                bytes += size;
            }

            foreach (string tag in tags.Where(t => Tags.GetValueOrDefault(t)?.Digest != digest))
            {
                WriteTag(tag, digest, now);
            }

            return link;
        }
    }

    /// <summary>Lets a tag name a manifest whatever the rules say, unless it was moved later.</summary>
    public void AdoptTag(string tag, Digest digest, DateTimeOffset taggedAt)
    {
        lock (gate)
        {
            if (Tags.GetValueOrDefault(tag) is not { } there || (there.Digest != digest && there.TaggedAt <= taggedAt))
            {
                WriteTag(tag, digest, taggedAt);
            }
        }
    }

    /// <summary>Takes a tag away whatever the rules say, unless it was moved since.</summary>
    public void DeleteTag(string tag, DateTimeOffset goneAt)
    {
        lock (gate)
        {
            if (Tags.GetValueOrDefault(tag) is { } there && there.TaggedAt <= goneAt)
            {
                RemoveTag(tag);
            }
        }
    }

    public bool DeleteTag(string tag)
    {
        lock (gate)
        {
            if (!Tags.ContainsKey(tag))
            {
                return false;
            }

            CheckMutable([tag]);
            RemoveTag(tag);
            return true;
        }
    }

    /// <param name="isForced">Whatever the rules say of its tags.</param>
    public bool DeleteManifest(Digest digest, bool isForced = false)
    {
        lock (gate)
        {
            if (!Manifests.TryGetValue(digest, out ManifestLink? link))
            {
                return false;
            }

            string[] pointing = [.. Tags.Values.Where(t => t.Digest == digest).Select(t => t.Tag)];
            CheckMutable(isForced ? [] : pointing);
            bytes = null;
            foreach (string tag in pointing)
            {
                File.Delete(folder.Tag(tag));
            }

            if (pointing.Length > 0)
            {
                DurableFile.SyncFolder(folder.Tags);
                Tags = Tags.RemoveRange(pointing);
            }

            CrashPoints.Reach(CrashPoint.ManifestTagsDeleted);
            File.Delete(folder.Manifest(digest));
            DurableFile.SyncFolder(folder.Manifests);
            Manifests = Manifests.Remove(digest);
            CrashPoints.Reach(CrashPoint.ManifestDeleted);
            if (File.Exists(folder.UpstreamReferrers(digest)))
            {
                File.Delete(folder.UpstreamReferrers(digest));
            }

            if (link.Subject is { } subject)
            {
                File.Delete(folder.Referrer(subject, digest));
            }

            return true;
        }
    }

    public IEnumerable<Descriptor> Referrers(Digest subject, string? after)
    {
        foreach (FileInfo file in RepositoryFolder.FilesOf(folder.ReferrersOf(subject))
            .OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            if (RepositoryFolder.TryParse(file.Name, out Digest digest) && Manifests.ContainsKey(digest)
                && (after is null || string.CompareOrdinal(digest.Text, after) > 0)
                && Read(file) is { } bytes
                && JsonSerializer.Deserialize(bytes, RepositoryJson.Default.Descriptor) is { } descriptor)
            {
                yield return descriptor;
            }
        }
    }

    /// <summary>
    /// What upstream listed about a subject when it last did; null when it never has, or when the file is damaged: it
    /// is a copy, which upstream is asked for again.
    /// </summary>
    public static IReadOnlyList<Descriptor>? UpstreamReferrers(RepositoryFolder folder, Digest subject)
    {
        try
        {
            return Read(new FileInfo(folder.UpstreamReferrers(subject))) is { } bytes
                ? JsonSerializer.Deserialize(bytes, RepositoryJson.Default.IReadOnlyListDescriptor)
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public void PutUpstreamReferrers(Digest subject, IReadOnlyList<Descriptor> list)
    {
        byte[] told = JsonSerializer.SerializeToUtf8Bytes(list, RepositoryJson.Default.IReadOnlyListDescriptor);
        string path = folder.UpstreamReferrers(subject);
        lock (gate)
        {
            if (Read(new FileInfo(path)) is not { } before || !before.AsSpan().SequenceEqual(told))
            {
                DurableFile.Replace(path, told);
            }
        }
    }

    /// <summary>Bytes by which it grows with a manifest.</summary>
    /// <param name="document">Null when its blobs are not linked.</param>
    public long GrowthBy(Digest digest, long size, ManifestDocument? document) =>
        (Manifests.ContainsKey(digest) ? 0 : size)
        + (document is null
            ? 0
            : OwnBlobs(document).DistinctBy(b => b.Digest).Sum(b => HasBlob(b.Digest) ? 0 : b.Size));

    public bool HasBlob(Digest digest) => File.Exists(folder.Blob(digest));

    public bool PromiseBlob(Digest digest, DateTimeOffset now)
    {
        lock (gate)
        {
            FileInfo link = new(folder.Blob(digest));
            if (!link.Exists)
            {
                return false;
            }

            link.LastWriteTimeUtc = now.UtcDateTime;
            return true;
        }
    }

    public void LinkBlob(Digest digest, DateTimeOffset now)
    {
        lock (gate)
        {
            LinkBlobs([digest], now);
        }
    }

    public bool UnlinkBlob(Digest digest)
    {
        lock (gate)
        {
            string link = folder.Blob(digest);
            if (!File.Exists(link))
            {
                return false;
            }

            File.Delete(link);
            CrashPoints.Reach(CrashPoint.BlobUnlinked);
            DurableFile.SyncFolder(folder.Blobs);
            bytes = null;
            return true;
        }
    }

    public int SweepBlobLinks(
        IReadOnlySet<Digest> seen, IReadOnlySet<Digest> named, DateTimeOffset unusedSince,
        Func<Digest, bool> isStored)
    {
        int removed = 0;
        ImmutableDictionary<Digest, ManifestLink>? known = null;
        foreach (FileInfo file in RepositoryFolder.FilesOf(folder.Blobs))
        {
            if (!RepositoryFolder.TryParse(file.Name, out Digest digest))
            {
                continue;
            }

            // One link at a time: a push must not wait for the whole sweep.
            lock (gate)
            {
                if (known != Manifests && !Manifests.Keys.All(seen.Contains))
                {
                    return removed;
                }

                known = Manifests;
                FileInfo link = new(file.FullName);
                bool unused = !named.Contains(digest) && link.Exists && link.LastWriteTimeUtc < unusedSince.UtcDateTime;
                if (link.Exists && (unused || !isStored(digest)))
                {
                    link.Delete();
                    bytes = null;
                    CrashPoints.Reach(CrashPoint.LinkDeleted);
                    removed++;
                }
            }
        }

        return removed;
    }

    private static IEnumerable<Descriptor> OwnBlobs(ManifestDocument document) =>
        document.Blobs.Where(b => !MediaTypes.IsForeignLayer(b.MediaType));

    private static ManifestLink? ReadManifest(FileInfo file)
    {
        if (!RepositoryFolder.TryParse(file.Name, out Digest digest) || Read(file) is not { } bytes
            || JsonSerializer.Deserialize(bytes, RepositoryJson.Default.ManifestLinkFile) is not { } link)
        {
            return null;
        }

        Digest? subject = Digest.TryParse(link.Subject, out Digest parsed) ? parsed : null;
        return new ManifestLink(digest, link.MediaType, link.Size, subject, link.PushedAt);
    }

    private static TagLink? ReadTag(FileInfo file) =>
        ImageReference.IsTag(file.Name) && Read(file) is { } bytes
        && JsonSerializer.Deserialize(bytes, RepositoryJson.Default.TagLinkFile) is { } link
        && Digest.TryParse(link.Digest, out Digest digest)
            ? new TagLink(file.Name, digest, link.TaggedAt)
            : null;

    private static byte[]? Read(FileInfo file)
    {
        try
        {
            return File.ReadAllBytes(file.FullName);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private void CheckMutable(IEnumerable<string> tags)
    {
        if (tags.FirstOrDefault(isImmutable) is { } tag)
        {
            throw new BerthException(
                ErrorCode.TagImmutable,
                $"The tag {tag} is immutable here, so it is neither moved nor removed: push under another tag, or "
                + "have an administrator change the policy ('berth repository set').");
        }
    }

    private void WriteTag(string tag, Digest digest, DateTimeOffset at)
    {
        DurableFile.Replace(
            folder.Tag(tag),
            JsonSerializer.SerializeToUtf8Bytes(
                new TagLinkFile(digest.Text, at), RepositoryJson.Default.TagLinkFile));
        CrashPoints.Reach(CrashPoint.TagWritten);
        Tags = Tags.SetItem(tag, new TagLink(tag, digest, at));
    }

    private void RemoveTag(string tag)
    {
        File.Delete(folder.Tag(tag));
        CrashPoints.Reach(CrashPoint.TagDeleted);
        DurableFile.SyncFolder(folder.Tags);
        Tags = Tags.Remove(tag);
    }

    private void LinkBlobs(IEnumerable<Digest> digests, DateTimeOffset now)
    {
        bool created = false;
        foreach (Digest digest in digests)
        {
            string path = folder.Blob(digest);
            if (!File.Exists(path))
            {
                DurableFile.CreateFolder(folder.Blobs);
                File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write).Dispose();
                created = true;
                bytes += sizeOf(digest) ?? 0;
            }

            File.SetLastWriteTimeUtc(path, now.UtcDateTime);
        }

        if (created)
        {
            DurableFile.SyncFolder(folder.Blobs);
        }
    }

    private void WriteReferrer(ManifestLink link, ManifestDocument document)
    {
        if (link.Subject is { } subject)
        {
            DurableFile.Replace(
                folder.Referrer(subject, link.Digest),
                JsonSerializer.SerializeToUtf8Bytes(
                    document.AsReferrer(link.Digest, link.Size), RepositoryJson.Default.Descriptor));
        }
    }
}
