using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;

namespace Berth.Oci.Images;

/// <summary>Reads small documents out of a content store, whole and checked.</summary>
public static class BlobReading
{
    /// <summary>
    /// The blob's bytes. Throws BerthException: BlobUnknown, SizeInvalid above <paramref name="max"/>, DigestMismatch
    /// when the disk returned something else.
    /// </summary>
    public static async Task<byte[]> ReadAsync(
        IContentStore content, Digest digest, int max, CancellationToken cancellationToken)
    {
        await using Stream blob = content.OpenRead(digest);
        byte[] bytes = await ReadAsync(blob, $"The document {digest}", max, cancellationToken);
        Verify(bytes, digest);
        return bytes;
    }

    /// <summary>Throws BerthException(DigestMismatch) unless the bytes have that digest.</summary>
    internal static void Verify(ReadOnlySpan<byte> bytes, Digest digest)
    {
        using IncrementalHash hash = digest.CreateHash();
        hash.AppendData(bytes);
        Digest found = Digest.FromHash(digest.Algorithm, hash.GetCurrentHash());
        if (found != digest)
        {
            throw new BerthException(
                ErrorCode.DigestMismatch,
                $"The content of {digest} is damaged: it is {found}. Push or pull the image again.");
        }
    }

    /// <summary>Reads a stream to its end, refusing more than <paramref name="max"/> bytes.</summary>
    internal static async Task<byte[]> ReadAsync(
        Stream stream, string what, int max, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[16 * 1024];
        int length = 0;
        while (true)
        {
            int count = await stream.ReadAsync(buffer.AsMemory(length), cancellationToken);
            if (count == 0)
            {
                return buffer[..length];
            }

            length += count;
            if (length > max)
            {
                throw new BerthException(ErrorCode.SizeInvalid, $"{what} has more than {max} bytes.");
            }

            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, Math.Min(buffer.Length * 2, max + 1));
            }
        }
    }
}
