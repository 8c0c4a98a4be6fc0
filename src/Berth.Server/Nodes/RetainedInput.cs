using Berth.Api.Links;
using Berth.Core.Streams;

namespace Berth.Server.Nodes;

/// <summary>Standard input of a container on another machine: what is written goes on over the next link where one
/// breaks, and waits while there is none.</summary>
internal sealed class RetainedInput(RetainedBytes bytes) : SequentialStream
{
    public override bool CanWrite => true;

    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        bytes.WriteAsync(buffer, cancellationToken);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            bytes.Complete();
        }

        base.Dispose(disposing);
    }
}
