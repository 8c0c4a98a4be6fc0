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
    /// Returns the bytes of the layer's archive. Throws BerthException: ArchiveRefused, DigestMismatch, StorageFull.
    /// The folder's content is then worthless.
    /// </summary>
    /// <param name="open">Opens the layer as stored.</param>
    /// <param name="size">Bytes of the blob.</param>
    internal async Task<long> UnpackAsync(
        Func<Stream> open, long size, Digest diffId, string folder, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var many = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<long> writing = ReadAsync(
            open(), size, (ring, token) => Write(ring, diffId, folder, many, token), stop.Token);
        if (await Task.WhenAny(writing, many.Task) == writing)
        {
            return await writing;
        }

        // Making a file costs a hundred times what reading its header does, so an archive that turns out to have many
        // entries is read to its end beside the writing: one that is to be refused for them is refused in seconds.
        Task<long> counting = ReadAsync(open(), size, Count, stop.Token);
        try
        {
            await await Task.WhenAny(writing, counting);
            return await writing;
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(writing, counting).ContinueWith(_ => { }, TaskScheduler.Default);
        }
    }

    /// <summary>
    /// Checks that a blob holds the layer <paramref name="diffId"/> without unpacking it, and returns the bytes of its
    /// archive. Throws BerthException: ArchiveRefused for damaged compression, DigestMismatch.
    /// </summary>
    /// <param name="blob">The layer as stored; closed at the end.</param>
    /// <param name="size">Bytes of the blob.</param>
    /// <param name="length">Bytes that the layer's archive is known to have: no more are read. Null when
    /// unknown.</param>
    internal Task<long> VerifyAsync(
        Stream blob, long size, Digest diffId, long? length, CancellationToken cancellationToken) =>
        ReadAsync(blob, size, (ring, stop) => Hash(ring, diffId, length ?? limits.Tar.Bytes, stop), cancellationToken);

    private async Task<long> ReadAsync(
        Stream blob, long size, Func<ChunkRing, CancellationToken, long> consume, CancellationToken cancellationToken)
    {
        using var ring = new ChunkRing();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task decoding = OnOwnThread(() => Decode(blob, size, ring, stop.Token));
        Task<long> consuming = OnOwnThread(() => consume(ring, stop.Token));
        try
        {
            return await consuming;
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

    private static Task<T> OnOwnThread<T>(Func<T> action) =>
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

    private long Write(
        ChunkRing ring, Digest diffId, string folder, TaskCompletionSource many, CancellationToken cancellationToken)
    {
        using UnixFolder root = UnixFolder.Open(folder);
        using IncrementalHash hash = diffId.CreateHash();
        using var writer = new LayerWriter(root, limits);
        var reader = new TarReader(new HashedInput(ring, hash, cancellationToken), limits.Tar);
        for (int entries = 0; reader.Read() is { } entry; entries++)
        {
            writer.Write(entry, reader);
            if (entries == limits.CountAfter)
            {
                many.SetResult();
            }
        }

        writer.Finish();
        Check(hash, diffId);
        return reader.Position;
    }

    private long Count(ChunkRing ring, CancellationToken cancellationToken)
    {
        var reader = new TarReader(new PlainInput(ring, cancellationToken), limits.Tar);
        while (reader.Read() is not null)
        {
            // The reader counts.
        }

        return reader.Position;
    }

    private static long Hash(ChunkRing ring, Digest diffId, long limit, CancellationToken cancellationToken)
    {
        using IncrementalHash hash = diffId.CreateHash();
        var input = new HashedInput(ring, hash, cancellationToken);
        long total = 0;
        while (input.Next() is { IsEmpty: false } piece)
        {
            total += piece.Length;
            if (total > limit)
            {
                throw new BerthException(
                    ErrorCode.DigestMismatch,
                    $"The layer's uncompressed content is longer than the {limit} bytes of {diffId}, which the image's "
                    + "configuration says it is.");
            }
        }

        Check(hash, diffId);
        return total;
    }

    private static void Check(IncrementalHash hash, Digest diffId)
    {
        Digest found = Digest.FromHash(diffId.Algorithm, hash.GetCurrentHash());
        if (found != diffId)
        {
            throw new BerthException(
                ErrorCode.DigestMismatch,
                $"The layer's uncompressed content is {found}, but the image's configuration says {diffId}.");
        }
    }

    private sealed class PlainInput(ChunkRing ring, CancellationToken cancellationToken) : ITarInput
    {
        public ReadOnlyMemory<byte> Next() => ring.Next(cancellationToken);

        public long Skip(long count) => 0;
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
