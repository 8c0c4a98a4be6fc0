using System.Net;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A request's body that stops after some bytes and never ends, until it is let go or the connection
/// breaks.</summary>
internal sealed class BrokenContent(ReadOnlyMemory<byte> bytes, CancellationToken letGo) : HttpContent
{
    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        await stream.WriteAsync(bytes, letGo);
        await stream.FlushAsync(letGo);
        await Task.Delay(Timeout.Infinite, letGo);
    }

    // Sent in chunks: how much there will be is not known.
    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
