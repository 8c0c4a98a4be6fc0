using Berth.Oci.Content;

namespace Berth.Oci.Distribution;

/// <summary>A stream that is read asynchronously, from front to back.</summary>
internal abstract class ReadOnlyStream : ForwardStream
{
    public override int Read(byte[] buffer, int offset, int count) =>
        throw new NotSupportedException("This stream is read asynchronously.");

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public abstract override ValueTask<int> ReadAsync(
        Memory<byte> buffer, CancellationToken cancellationToken = default);
}
