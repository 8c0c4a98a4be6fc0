using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;

namespace Berth.Oci.Content;

/// <summary>A blob found in the store.</summary>
/// <param name="UsedAt">When it was committed, or last promised to
/// somebody (see <see cref="ContentStore.Promise"/>).</param>
public sealed record StoredBlob(Digest Digest, long Size, DateTimeOffset UsedAt);

/// <summary>
/// The content store on files: <c>sha256/ab/&lt;hex&gt;</c>, <c>sha512/ab/&lt;hex&gt;</c>, <c>temp/</c> for what is
/// being written or removed and <c>corrupt/</c> for blobs whose content no longer has their digest. One process uses
/// the folder at a time. A blob's modification time says when it was last promised; collection looks at it.
/// </summary>
public sealed class ContentStore : IContentStore
{
    // A range can't be checked against the digest, so the whole blob is, at most this often.
    private static readonly TimeSpan VerificationHolds = TimeSpan.FromMinutes(10);

    private readonly string folder;
    private readonly TimeProvider time;
    private readonly string temporary;

    // Guards leases, promises and the moment a blob appears or goes, so that collection never takes what was promised.
    private readonly Lock gate = new();
    private readonly Dictionary<Digest, int> leases = [];
    private readonly Dictionary<Digest, long> promises = [];
    private readonly ConcurrentDictionary<Digest, long> verifications = new();

    /// <summary>Opens the store and removes what earlier writers left unfinished.</summary>
    /// <param name="folder">The <c>blobs</c> folder of the data folder.</param>
    public ContentStore(string folder, TimeProvider time)
    {
        this.folder = Path.GetFullPath(folder);
        this.time = time;
        temporary = Path.Combine(this.folder, "temp");
        DurableFile.CreateFolder(temporary);
        foreach (string leftover in Directory.EnumerateFiles(temporary))
        {
            File.Delete(leftover);
        }
    }

    public long? SizeOf(Digest digest)
    {
        FileInfo file = new(PathFor(digest));
        return file.Exists ? file.Length : null;
    }

    public Stream OpenRead(Digest digest) => OpenFile(digest);

    /// <summary>
    /// Opens a blob for one reading from front to back that never yields the last bytes of damaged content: that read
    /// puts the blob into quarantine and throws BerthException(DigestMismatch).
    /// </summary>
    public Stream OpenVerified(Digest digest) => new VerifyingStream(this, digest, OpenFile(digest));

    /// <summary>Reads a blob whole to check it, unless that was done in the last minutes. Throws
    /// as <see cref="OpenVerified"/> does.</summary>
    public async Task VerifyAsync(Digest digest, CancellationToken cancellationToken)
    {
        if (verifications.TryGetValue(digest, out long at) && time.GetElapsedTime(at) < VerificationHolds)
        {
            return;
        }

        await using Stream blob = OpenVerified(digest);
        await blob.CopyToAsync(Stream.Null, 256 * 1024, cancellationToken);
    }

    public string? PathOf(Digest digest)
    {
        string path = PathFor(digest);
        return File.Exists(path) ? path : null;
    }

    public IBlobWriter BeginWrite()
    {
        try
        {
            return BlobFile.Create(this, TemporaryPath(), keep: false);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            throw DurableFile.Refusal(folder, e);
        }
    }

    /// <summary>Begins a blob in a file of the caller's, on the same file system, that stays when the
    /// writer is disposed uncommitted.</summary>
    public BlobFile CreateAt(string path) => BlobFile.Create(this, path, keep: true);

    /// <summary>Goes on with a file begun by <see cref="CreateAt"/>, perhaps by an earlier server.</summary>
    public Task<BlobFile> ResumeAtAsync(string path, CancellationToken cancellationToken) =>
        BlobFile.ResumeAsync(this, path, cancellationToken);

    public IDisposable Lease(params IEnumerable<Digest> digests)
    {
        Digest[] held = [.. digests];
        lock (gate)
        {
            foreach (Digest digest in held)
            {
                leases[digest] = leases.GetValueOrDefault(digest) + 1;
            }
        }

        return new BlobLease(this, held);
    }

    /// <summary>
    /// Tells whether a blob is there and, if so, keeps it from collection for the grace period: whoever was told may
    /// rely on it. Returns its size, or null when it is absent.
    /// </summary>
    public long? Promise(Digest digest)
    {
        FileInfo file = new(PathFor(digest));
        lock (gate)
        {
            if (!file.Exists)
            {
                return null;
            }

            Stamp(file.FullName, digest);
            return file.Length;
        }
    }

    /// <summary>Every digest under a lease now.</summary>
    public HashSet<Digest> Leased()
    {
        lock (gate)
        {
            return [.. leases.Keys];
        }
    }

    /// <summary>All blobs, in no order. Blobs may come and go meanwhile.</summary>
    public IEnumerable<StoredBlob> Enumerate()
    {
        foreach (string algorithm in (string[])["sha256", "sha512"])
        {
            DirectoryInfo root = new(Path.Combine(folder, algorithm));
            if (!root.Exists)
            {
                continue;
            }

            foreach (FileInfo file in root.EnumerateFiles("*", SearchOption.AllDirectories))
            {
                if (Digest.TryParse($"{algorithm}:{file.Name}", out Digest digest) && file.Exists)
                {
                    yield return new StoredBlob(digest, file.Length, new DateTimeOffset(file.LastWriteTimeUtc));
                }
            }
        }
    }

    /// <summary>
    /// Removes a blob unless it is leased or was promised within <paramref name="grace"/> before
    /// <paramref name="asOf"/> or since. Returns whether it was removed.
    /// </summary>
    /// <param name="asOf">A time stamp of the store's time provider, not a wall clock: a clock that jumps must not
    /// shorten the grace.</param>
    public bool TryCollect(Digest digest, TimeSpan grace, DateTimeOffset asOf, long asOfStamp)
    {
        FileInfo file = new(PathFor(digest));
        string removed = TemporaryPath();
        lock (gate)
        {
            bool promised = promises.TryGetValue(digest, out long at) && time.GetElapsedTime(at, asOfStamp) <= grace;
            if (!file.Exists || promised || leases.ContainsKey(digest)
                || file.LastWriteTimeUtc > asOf.UtcDateTime - grace)
            {
                return false;
            }

            promises.Remove(digest);
            verifications.TryRemove(digest, out _);

            // Removing a large file takes long; moving it away does not.
            File.Move(file.FullName, removed);
        }

        CrashPoints.Reach(CrashPoint.BlobMovedAway);
        File.Delete(removed);
        return true;
    }

    /// <summary>Forgets promises older than <paramref name="grace"/>; the files' times still tell.</summary>
    public void ForgetPromises(TimeSpan grace)
    {
        lock (gate)
        {
            foreach ((Digest digest, _) in promises.Where(p => time.GetElapsedTime(p.Value) > grace).ToList())
            {
                promises.Remove(digest);
            }
        }

        foreach ((Digest digest, _) in verifications.Where(v => time.GetElapsedTime(v.Value) > VerificationHolds))
        {
            verifications.TryRemove(digest, out _);
        }
    }

    /// <summary>Takes damaged content out of use but keeps it for inspection. Returns where it is.</summary>
    internal string Quarantine(Digest digest)
    {
        string corrupt = Path.Combine(folder, "corrupt");
        DurableFile.CreateFolder(corrupt);
        string target = Path.Combine(corrupt, $"{digest.Algorithm}-{digest.Hex}");
        string path = PathFor(digest);
        lock (gate)
        {
            verifications.TryRemove(digest, out _);
            if (File.Exists(path))
            {
                File.Move(path, target, overwrite: true);
            }
        }

        DurableFile.SyncFolder(Path.GetDirectoryName(path)!);
        return target;
    }

    internal void NoteVerified(Digest digest) => verifications[digest] = time.GetTimestamp();

    /// <summary>Puts a synced file into place. Content that is there already is kept and promised anew.</summary>
    internal void Publish(string file, Digest digest)
    {
        string path = PathFor(digest);
        string shard = Path.GetDirectoryName(path)!;
        DurableFile.CreateFolder(shard);
        lock (gate)
        {
            // The new file replaces one that is there: it was just verified, the old one perhaps long ago.
            File.Move(file, path, overwrite: true);
            Stamp(path, digest);
        }

        CrashPoints.Reach(CrashPoint.BlobNamed);
        DurableFile.SyncFolder(shard);
        CrashPoints.Reach(CrashPoint.BlobPublished);
    }

    private void Stamp(string path, Digest digest)
    {
        File.SetLastWriteTimeUtc(path, time.GetUtcNow().UtcDateTime);
        promises[digest] = time.GetTimestamp();
    }

    private FileStream OpenFile(Digest digest)
    {
        try
        {
            return new FileStream(
                PathFor(digest), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0,
                FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BerthException(ErrorCode.BlobUnknown, $"There is no blob {digest}.", e);
        }
    }

    private void Release(Digest[] digests)
    {
        lock (gate)
        {
            foreach (Digest digest in digests)
            {
                if (--leases[digest] == 0)
                {
                    leases.Remove(digest);
                }
            }
        }
    }

    private string PathFor(Digest digest) => Path.Combine(folder, digest.Algorithm, digest.Hex[..2], digest.Hex);

    private string TemporaryPath() => Path.Combine(temporary, Path.GetRandomFileName());

    private sealed class BlobLease(ContentStore store, Digest[] digests) : IDisposable
    {
        private ContentStore? store = store;

        public void Dispose() => Interlocked.Exchange(ref store, null)?.Release(digests);
    }
}
