using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Tar;
using Berth.Oci.Unix;

namespace Berth.Oci.Layers;

/// <summary>
/// Unpacks one layer into an empty folder in one pass: one thread decompresses, another hashes, reads the tar and
/// writes the files. Memory is bounded whatever the archive holds.
/// </summary>
internal sealed class LayerUnpacker(LayerLimits limits)
{
    /// <summary>
    /// Throws BerthException: ArchiveRefused, DigestMismatch, StorageFull. The folder's content is then worthless.
    /// </summary>
    /// <param name="blob">The layer as stored; closed at the end.</param>
    /// <param name="size">Bytes of the blob.</param>
    internal async Task UnpackAsync(
        Stream blob, long size, Digest diffId, string folder, CancellationToken cancellationToken)
    {
        using var ring = new ChunkRing();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task decoding = OnOwnThread(() => Decode(blob, size, ring, stop.Token));
        Task writing = OnOwnThread(() => Write(ring, diffId, folder, stop.Token));
        try
        {
            await writing;
        }
        finally
        {
            await stop.CancelAsync();
            await decoding;
        }
    }

    // Both block on the ring and on disk for as long as the layer lasts, which the pool's threads are not for.
    private static Task OnOwnThread(Action action) =>
        Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private void Decode(Stream blob, long size, ChunkRing ring, CancellationToken cancellationToken)
    {
        try
        {
            using Stream plain = LayerDecoder.Open(blob);
            long total = 0;
            int length;
            do
            {
                Memory<byte> chunk = ring.NextFree(cancellationToken);
                length = plain.ReadAtLeast(chunk.Span, chunk.Length, throwOnEndOfStream: false);
                total += length;
                CheckRatio(total, size);
                ring.Publish(length);
            }
            while (length > 0);
        }
        catch (OperationCanceledException)
        {
            // The writer left first and says why.
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            ring.Fail(new BerthException(
                ErrorCode.ArchiveRefused,
                $"The archive was refused: its compressed data is damaged or cut off: {e.Message}.", e));
        }
        catch (Exception e)
        {
            ring.Fail(e);
        }
    }

    private void CheckRatio(long total, long size)
    {
        if (total > limits.RatioAfter && total / limits.MaxRatio > size)
        {
            throw new BerthException(
                ErrorCode.ArchiveRefused,
                $"The archive was refused: its {size} bytes unpack to more than {limits.MaxRatio} times as many.");
        }
    }

    private void Write(ChunkRing ring, Digest diffId, string folder, CancellationToken cancellationToken)
    {
        using UnixFolder root = UnixFolder.Open(folder);
        using IncrementalHash hash = diffId.CreateHash();
        using var writer = new LayerWriter(root, limits);
        var reader = new TarReader(new HashedInput(ring, hash, cancellationToken), limits.Tar);
        while (reader.Read() is { } entry)
        {
            writer.Write(entry, reader);
        }

        writer.Finish();
        Digest found = Digest.FromHash(diffId.Algorithm, hash.GetCurrentHash());
        if (found != diffId)
        {
            throw new BerthException(
                ErrorCode.DigestMismatch,
                $"The layer's uncompressed content is {found}, but the image's configuration says {diffId}.");
        }
    }

    private sealed class HashedInput(
        ChunkRing ring, IncrementalHash hash, CancellationToken cancellationToken) : ITarInput
    {
        public ReadOnlyMemory<byte> Next()
        {
            ReadOnlyMemory<byte> piece = ring.Next(cancellationToken);
            hash.AppendData(piece.Span);
            return piece;
        }

        public long Skip(long count) => 0;
    }
}
