using System.Net.Sockets;
using Berth.Core.Runs;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>Where a runtime sends the master of the terminal it made for a program (runc's
/// docs/terminals.md).</summary>
internal sealed class ConsoleSocket : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    /// <param name="path">At most 107 bytes (unix(7)); nothing is there yet.</param>
    public ConsoleSocket(string path)
    {
        Path = path;
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
    }

    public string Path { get; }

    /// <summary>Called when the runtime has done its command, so that what it sent is there. Throws
    /// IOException.</summary>
    public async Task<Pseudoterminal> ReceiveAsync(TerminalSize size, ReadinessPoller poller)
    {
        try
        {
            using CancellationTokenSource patience = new(Patience);
            using Socket runtime = await listener.AcceptAsync(patience.Token);
            return Pseudoterminal.Adopt(Sockets.ReceiveDescriptor(runtime.SafeHandle), size, poller);
        }
        catch (Exception error) when (error is OperationCanceledException or LinuxException or SocketException)
        {
            throw new IOException("The runtime sent no terminal.", error);
        }
    }

    public void Dispose()
    {
        listener.Dispose();
        File.Delete(Path);
    }
}
