using System.IO.Compression;
using System.Security.Cryptography;
using Berth.Core.Streams;
using Berth.Oci.Content;

namespace Berth.Oci.Layers;

/// <summary>
/// Decompresses gzip members one after the other (RFC 1952) and takes only whole ones: <see cref="GZipStream"/> by
/// itself takes a member that is cut off for the end and passes over what follows the last. So it is given one more
/// member at the end, the seal. The seal's content comes out only where a next member may begin; it is random, so that
/// no archive can be made to expect it.
/// </summary>
internal sealed class GzipLayerStream : SequentialStream
{
    private const int SealBytes = 16;

    private readonly SealedSource source;
    private readonly GZipStream gzip;
    private bool ended;

    internal GzipLayerStream(Stream source)
    {
        this.source = new SealedSource(source);
        gzip = new GZipStream(this.source, CompressionMode.Decompress);
    }

    public override bool CanRead => true;

    public override int Read(Span<byte> buffer)
    {
        if (ended || buffer.IsEmpty)
        {
            return 0;
        }

        int count = gzip.Read(buffer);
        if (count == 0)
        {
            ended = true;
            CheckEnd();
        }

        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            gzip.Dispose();
        }

        base.Dispose(disposing);
    }

    private void CheckEnd()
    {
        Span<byte> seal = stackalloc byte[SealBytes];
        RandomNumberGenerator.Fill(seal);
        source.Append(seal);
        Span<byte> found = stackalloc byte[SealBytes + 1];
        int count = gzip.ReadAtLeast(found, found.Length, throwOnEndOfStream: false);
        if (!found[..count].SequenceEqual(seal))
        {
            throw new InvalidDataException("its last gzip member is not whole, or something else follows it");
        }
    }

    /// <summary>A stream and, once it was appended, one more gzip member.</summary>
    private sealed class SealedSource(Stream inner) : SequentialStream
    {
        private Stream? appended;

        public override bool CanRead => true;

        public void Append(ReadOnlySpan<byte> content)
        {
            var member = new MemoryStream();
            using (var gzip = new GZipStream(member, CompressionLevel.NoCompression, leaveOpen: true))
            {
                gzip.Write(content);
            }

            member.Position = 0;
            appended = member;
        }

        public override int Read(Span<byte> buffer)
        {
            int count = inner.Read(buffer);
            return count > 0 || appended is null ? count : appended.Read(buffer);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                inner.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
