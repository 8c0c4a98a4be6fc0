using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Streams;

namespace Berth.Oci.Content;

/// <summary>
/// Reads a blob front to back and hashes it on the way. The read that reaches the end returns its bytes only when the
/// digest is right, so that nobody receives the whole of a damaged blob; otherwise the blob is put into quarantine and
/// the read throws BerthException(DigestMismatch).
/// </summary>
internal sealed class VerifyingStream(ContentStore store, Digest digest, FileStream inner) : SequentialStream
{
    private readonly IncrementalHash hash = digest.CreateHash();
    private readonly long length = inner.Length;
    private long position;
    private bool verified;

    public override bool CanRead => true;

    public override long Length => length;

    public override long Position
    {
        get => position;
        set => throw new NotSupportedException("A blob that is verified while it is read can't be positioned.");
    }

    public override int Read(Span<byte> buffer)
    {
        int read = inner.Read(buffer);
        Account(buffer[..read], buffer.IsEmpty);
        return read;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int read = await inner.ReadAsync(buffer, cancellationToken);
        Account(buffer.Span[..read], buffer.IsEmpty);
        return read;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
            hash.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Account(ReadOnlySpan<byte> bytes, bool nothingAsked)
    {
        if (verified || nothingAsked)
        {
            return;
        }

        hash.AppendData(bytes);
        position += bytes.Length;
        if (!bytes.IsEmpty && position < length)
        {
            return;
        }

        verified = true;
        Digest actual = Digest.FromHash(digest.Algorithm, hash.GetHashAndReset());
        if (actual != digest)
        {
            string kept = store.Quarantine(digest);
            throw new BerthException(
                ErrorCode.DigestMismatch,
                $"The stored blob {digest} is damaged: its content hashes to {actual}. It was moved to {kept}; "
                + "push the image again.");
        }

        store.NoteVerified(digest);
    }
}
