using Berth.Core.Errors;
using Berth.Core.Streams;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>Passes a blob on, holds it to the size its descriptor claims, and reports progress every MiB.</summary>
internal sealed class CopyStream(Stream source, Descriptor blob, Action<CopyStep>? progress) : SequentialStream
{
    private const int ReportEvery = 1024 * 1024;

    private long done;
    private long reported;

    public override bool CanRead => true;

    public override long Length => blob.Size;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int count = await source.ReadAsync(buffer, cancellationToken);
        done += count;
        if (done > blob.Size || (count == 0 && !buffer.IsEmpty && done < blob.Size))
        {
            throw new BerthException(
                ErrorCode.SizeInvalid,
                $"The blob {blob.Digest} {(count == 0 ? $"ended after {done}" : "goes on after")} of {blob.Size} "
                    + $"bytes.");
        }

        if (done - reported >= ReportEvery)
        {
            reported = done;
            progress?.Invoke(new CopyStep(CopyPhase.Copying, blob.Digest, done, blob.Size));
        }

        return count;
    }
}
