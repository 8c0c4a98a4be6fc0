using System.Net;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A request's body that stops after its first part until it is let go; then comes the rest.</summary>
internal sealed class HeldContent(ReadOnlyMemory<byte> first, Task letGo, ReadOnlyMemory<byte> rest = default)
    : HttpContent
{
    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        await stream.WriteAsync(first);
        await stream.FlushAsync();
        await letGo;
        await stream.WriteAsync(rest);
    }

    // Sent in chunks: how much there will be is not known.
    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
