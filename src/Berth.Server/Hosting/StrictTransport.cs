using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Berth.Server.Hosting;

/// <summary>
/// What a connection sends in HTTP/1.1, on its way to Kestrel, looked at by <see cref="RequestScanner"/>. A line that
/// makes a request ambiguous is made to begin with a blank before Kestrel sees it, so that Kestrel refuses the request
/// with its own 400 and closes: no answer of ours can come between those it has under way.
/// </summary>
internal sealed class StrictTransport(IDuplexPipe inner) : PipeReader, IDuplexPipe
{
    private readonly RequestScanner scanner = new();
    private ReadOnlySequence<byte> buffer;
    private long begin;
    private long scanned;

    public PipeReader Input => this;

    public PipeWriter Output => inner.Output;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
        Look(await inner.Input.ReadAsync(cancellationToken));

    public override bool TryRead(out ReadResult result)
    {
        bool isThere = inner.Input.TryRead(out result);
        if (isThere)
        {
            Look(result);
        }

        return isThere;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        begin += buffer.Slice(0, consumed).Length;
        buffer = default;
        inner.Input.AdvanceTo(consumed, examined);
    }

    public override void CancelPendingRead() => inner.Input.CancelPendingRead();

    public override void Complete(Exception? exception = null) => inner.Input.Complete(exception);

    public override ValueTask CompleteAsync(Exception? exception = null) => inner.Input.CompleteAsync(exception);

    private ReadResult Look(ReadResult result)
    {
        buffer = result.Buffer;
        foreach (ReadOnlyMemory<byte> part in buffer.Slice(Math.Min(scanned - begin, buffer.Length)))
        {
            int? ambiguous = scanner.Take(part.Span);
            if (ambiguous is { } offset)
            {
                Spoil(Math.Max(scanned + offset, begin));
            }

            scanned += part.Length;
        }

        return result;
    }

    /// <summary>The line was not whole before now, so Kestrel has not taken it. The memory is the transport's, which
    /// writes to it again only when it has been consumed.</summary>
    private void Spoil(long position)
    {
        ReadOnlyMemory<byte> place = buffer.Slice(position - begin, 1).First;
        MemoryMarshal.AsMemory(place).Span[0] = (byte)' ';
    }
}
