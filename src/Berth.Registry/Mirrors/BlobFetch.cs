using System.Buffers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;

namespace Berth.Registry.Mirrors;

/// <summary>
/// One blob on its way from upstream into the store, and from the same file to everybody who asks for it meanwhile. The
/// last bytes are told to nobody before the digest is known to be right, so that damage never looks whole.
/// </summary>
internal sealed class BlobFetch(Descriptor blob, string path)
{
    private const int BlockSize = 512 * 1024;

    private readonly Lock gate = new();
    private long available;
    private TaskCompletionSource grown = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Descriptor Blob => blob;

    /// <summary>Ends when the blob is in the store, or fails.</summary>
    public required Task Completion { get; set; }

    /// <summary>Copies what comes into a file of the store, and then the file to its place.</summary>
    public async Task RunAsync(ContentStore content, Stream source, CancellationToken cancellationToken)
    {
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockSize);
        try
        {
            await using BlobFile file = content.CreateAt(path);
            for (int count; (count = await source.ReadAtLeastAsync(
                block.AsMemory(0, BlockSize), BlockSize, throwOnEndOfStream: false, cancellationToken)) > 0;)
            {
                if (file.Length + count > blob.Size)
                {
                    throw new BerthException(
                        ErrorCode.Upstream, $"Upstream sent more of {blob.Digest} than the {blob.Size} bytes it said.");
                }

                await file.WriteAsync(block.AsMemory(0, count), cancellationToken);
                await file.FlushAsync();
                Grow(Math.Min(file.Length, blob.Size - 1));
            }

            if (file.Length < blob.Size)
            {
                throw new BerthException(
                    ErrorCode.Upstream, $"Upstream sent {file.Length} of the {blob.Size} bytes of {blob.Digest}.");
            }

            await file.CommitAsync(blob.Digest, cancellationToken);
            Grow(blob.Size);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
            File.Delete(path);
        }
    }

    /// <summary>
    /// Copies the blob as it comes. Throws what the fetch throws, before the last byte. False when it has got to its
    /// place in the store before anything was sent.
    /// </summary>
    /// <param name="begin">Called once there is something to send.</param>
    public async Task<bool> TryCopyToAsync(Stream target, Action begin, CancellationToken cancellationToken)
    {
        await WaitForMoreAsync(0, cancellationToken);
        await using FileStream? file = Open();
        if (file is null)
        {
            // It is in the store, or gone with a fault; only the end of the fetch makes it the repository's.
            await Completion.WaitAsync(cancellationToken);
            return false;
        }

        begin();
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockSize);
        try
        {
            for (long sent = 0; sent < blob.Size;)
            {
                long upTo = await WaitForMoreAsync(sent, cancellationToken);
                int count = await file.ReadAsync(
                    block.AsMemory(0, (int)Math.Min(BlockSize, upTo - sent)), cancellationToken);
                await target.WriteAsync(block.AsMemory(0, count), cancellationToken);
                sent += count;
            }

            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private FileStream? Open()
    {
        try
        {
            return new FileStream(
                path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    private void Grow(long length)
    {
        TaskCompletionSource told;
        lock (gate)
        {
            available = length;
            told = grown;
            grown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        told.SetResult();
    }

    private async Task<long> WaitForMoreAsync(long than, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task more;
            lock (gate)
            {
                if (available > than)
                {
                    return available;
                }

                more = grown.Task;
            }

            Task first = await Task.WhenAny(more, Completion).WaitAsync(cancellationToken);
            if (first == Completion)
            {
                await Completion;
                lock (gate)
                {
                    return available;
                }
            }
        }
    }
}
