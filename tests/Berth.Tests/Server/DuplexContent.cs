using System.Net;

namespace Berth.Tests.Server;

/// <summary>
/// A body that HttpClient sends over HTTP/2 while it reads the answer; its own contents are sent whole first.
/// </summary>
internal sealed class DuplexContent(byte[] bytes) : HttpContent
{
    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        stream.WriteAsync(bytes).AsTask();

    protected override bool TryComputeLength(out long length)
    {
        length = bytes.Length;
        return true;
    }
}
