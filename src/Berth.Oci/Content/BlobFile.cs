using System.Buffers;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Microsoft.Win32.SafeHandles;

namespace Berth.Oci.Content;

/// <summary>
/// A blob being written: bytes are gathered into large blocks, and while one block fills, the one before is hashed and
/// written by another thread. Uploads keep the file between requests and servers (<paramref name="keep"/>); other
/// writers remove it unless it was committed.
/// </summary>
public sealed class BlobFile : IBlobWriter
{
    private const int BlockSize = 512 * 1024;

    // The sync at commit would otherwise wait for the whole blob to be written at once.
    private const long WriteBackEvery = 8L * 1024 * 1024;

    private readonly ContentStore store;
    private readonly SafeFileHandle file;
    private readonly bool keep;
    private readonly IncrementalHash hash;
    private byte[]? filling;
    private byte[]? spare;
    private int filled;
    private long written;
    private long writtenBack;
    private Task draining = Task.CompletedTask;
    private bool done;

    private BlobFile(ContentStore store, string path, SafeFileHandle file, bool keep)
    {
        this.store = store;
        this.file = file;
        this.keep = keep;
        FilePath = path;
        hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    }

    public string FilePath { get; }

    public long Length { get; private set; }

    internal static BlobFile Create(ContentStore store, string path, bool keep) =>
        new(store, path, File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read), keep);

    /// <summary>Goes on with a file that another request or server began; its content is hashed again.</summary>
    internal static async Task<BlobFile> ResumeAsync(
        ContentStore store, string path, CancellationToken cancellationToken)
    {
        BlobFile blob = new(
            store, path, File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read), keep: true);
        try
        {
            blob.written = await HashFileAsync(blob.file, blob.hash, cancellationToken);
            blob.Length = blob.written;
            return blob;
        }
        catch
        {
            await blob.DisposeAsync();
            throw;
        }
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(done, this);
        while (!bytes.IsEmpty)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (filled == BlockSize)
            {
                await HandOverAsync();
            }

            filling ??= ArrayPool<byte>.Shared.Rent(BlockSize);
            int take = Math.Min(bytes.Length, BlockSize - filled);
            bytes[..take].CopyTo(filling.AsMemory(filled));
            filled += take;
            Length += take;
            bytes = bytes[take..];
        }
    }

    /// <summary>
    /// Writes what is gathered to the file, so that its size is <see cref="Length"/>, and gives up the memory.
    /// </summary>
    public async Task FlushAsync()
    {
        await HandOverAsync();
        await draining;
        GiveBack();
    }

    public async Task<Digest> CommitAsync(Digest? expected, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(done, this);
        await FlushAsync();
        cancellationToken.ThrowIfCancellationRequested();
        Digest actual = expected is { Algorithm: "sha512" }
            ? await HashAgainAsync(expected.Value, cancellationToken)
            : Digest.FromHash("sha256", hash.GetCurrentHash());
        if (expected is { } wanted && wanted != actual)
        {
            throw new BerthException(
                ErrorCode.DigestMismatch,
                $"The content received ({Length} bytes) has the digest {actual}, not {wanted}.");
        }

        await Task.Run(() => Publish(actual), CancellationToken.None);
        done = true;
        return actual;
    }

    public async ValueTask DisposeAsync()
    {
        bool published = done;
        done = true;
        await draining.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        file.Dispose();
        hash.Dispose();
        GiveBack();
        if (!keep && !published)
        {
            File.Delete(FilePath);
        }
    }

    private static async Task<long> HashFileAsync(
        SafeFileHandle file, IncrementalHash hash, CancellationToken cancellationToken)
    {
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockSize);
        try
        {
            long offset = 0;
            while (await RandomAccess.ReadAsync(file, block, offset, cancellationToken) is > 0 and int read)
            {
                hash.AppendData(block, 0, read);
                offset += read;
            }

            return offset;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    // The algorithm is known only at the end; sha512 is rare enough to read the file a second time.
    private async Task<Digest> HashAgainAsync(Digest expected, CancellationToken cancellationToken)
    {
        using IncrementalHash other = expected.CreateHash();
        _ = await HashFileAsync(file, other, cancellationToken);
        return Digest.FromHash(expected.Algorithm, other.GetHashAndReset());
    }

    private async Task HandOverAsync()
    {
        await draining;
        if (filled == 0)
        {
            return;
        }

        byte[] block = filling!;
        int count = filled;
        filling = spare;
        spare = block;
        filled = 0;
        draining = Task.Run(() => Drain(block, count));
    }

    private void Drain(byte[] block, int count)
    {
        ReadOnlySpan<byte> bytes = block.AsSpan(0, count);
        hash.AppendData(bytes);
        try
        {
            RandomAccess.Write(file, bytes, written);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            throw DurableFile.Refusal(FilePath, e);
        }

        written += count;
        if (written - writtenBack >= WriteBackEvery)
        {
            DurableFile.StartWriting(file, writtenBack, written - writtenBack);
            writtenBack = written;
        }
    }

    private void GiveBack()
    {
        foreach (byte[] block in new[] { filling, spare }.OfType<byte[]>())
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        filling = spare = null;
    }

    private void Publish(Digest digest)
    {
        try
        {
            DurableFile.SyncData(file, FilePath);
            CrashPoints.Reach(CrashPoint.BlobSynced);
            store.Publish(FilePath, digest);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            throw DurableFile.Refusal(FilePath, e);
        }
    }
}
