using System.IO.Pipelines;
using Berth.Core.Streams;

namespace Berth.Api.Links;

/// <summary>Both directions of a connection as one stream. Disposing it ends both.</summary>
public sealed class DuplexStream(IDuplexPipe transport) : SequentialStream
{
    private readonly Stream input = transport.Input.AsStream();
    private readonly Stream output = transport.Output.AsStream();

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        input.ReadAsync(buffer, cancellationToken);

    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        output.WriteAsync(buffer, cancellationToken);

    public override Task FlushAsync(CancellationToken cancellationToken) => output.FlushAsync(cancellationToken);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            input.Dispose();
            output.Dispose();
        }

        base.Dispose(disposing);
    }
}
