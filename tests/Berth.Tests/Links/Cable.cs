using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Berth.Tests.Links;

/// <summary>What a node's link goes through: it can be cut, and led to another server.</summary>
internal sealed class Cable : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentDictionary<TcpClient, bool> ends = new();
    private readonly CancellationTokenSource stop = new();
    private readonly Task accepting;
    private volatile Uri? server;

    public Cable(Uri server)
    {
        this.server = server;
        listener.Start();
        accepting = Task.Run(AcceptAsync);
    }

    public Uri Address => new($"https://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");

    /// <summary>What is connected breaks, and nothing more is connected.</summary>
    public void Cut()
    {
        server = null;
        foreach (TcpClient end in ends.Keys)
        {
            end.Dispose();
        }
    }

    public void Mend(Uri to) => server = to;

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        Cut();
        listener.Dispose();
        await accepting;
        stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                TcpClient node = await listener.AcceptTcpClientAsync(stop.Token);
                _ = PassAsync(node);
            }
        }
        catch (Exception over) when (over is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            return;
        }
    }

    private async Task PassAsync(TcpClient node)
    {
        using TcpClient far = new();
        using (node)
        {
            if (server is not { } to)
            {
                return;
            }

            ends[node] = true;
            ends[far] = true;
            try
            {
                await far.ConnectAsync(IPAddress.Loopback, to.Port, stop.Token);
                if (server is null)
                {
                    return;
                }

                await Task.WhenAny(
                    node.GetStream().CopyToAsync(far.GetStream(), stop.Token),
                    far.GetStream().CopyToAsync(node.GetStream(), stop.Token));
            }
            catch (Exception gone) when (
                gone is IOException or SocketException or ObjectDisposedException or OperationCanceledException
                or InvalidOperationException)
            {
                return;
            }
            finally
            {
                ends.TryRemove(node, out _);
                ends.TryRemove(far, out _);
            }
        }
    }
}
