using Berth.Core.Images;

namespace Berth.Oci.Content;

/// <summary>
/// Blobs by digest, shared by registry and executor. A blob is whole and verified or it is absent: content is written
/// to a temporary file, hashed on the way, synced, then renamed into place. Blobs nobody references are collected while
/// the store is in use; whatever must survive between its commit and its first reference is held by a lease.
/// </summary>
public interface IContentStore
{
    /// <summary>Size of a blob, or null when it is absent.</summary>
    long? SizeOf(Digest digest);

    /// <summary>Opens a blob for reading. Throws BerthException(BlobUnknown) when it is absent.</summary>
    Stream OpenRead(Digest digest);

    /// <summary>
    /// Path of the blob's file, for sendfile or for handing to another program; null when absent. The file
    /// must not be changed.
    /// </summary>
    string? PathOf(Digest digest);

    /// <summary>Begins a new blob. The writer is durable at commit; disposing it before leaves nothing.</summary>
    IBlobWriter BeginWrite();

    /// <summary>
    /// Keeps blobs from being collected until the lease is disposed; blobs may be named before they exist.
    /// </summary>
    IDisposable Lease(params IEnumerable<Digest> digests);
}

/// <summary>Takes the bytes of one blob. Not safe for concurrent use.</summary>
public interface IBlobWriter : IAsyncDisposable
{
    long Length { get; }

    ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>
    /// Verifies, syncs and publishes. Throws BerthException(DigestMismatch) when <paramref name="expected"/> is given
    /// and the content is another; then nothing was published. Committing content that exists already is not an error.
    /// </summary>
    Task<Digest> CommitAsync(Digest? expected, CancellationToken cancellationToken);
}
