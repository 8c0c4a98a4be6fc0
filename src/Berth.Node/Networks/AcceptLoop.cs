using System.Net.Sockets;

namespace Berth.Node.Networks;

/// <summary>Takes a listener's connections until it is closed. One that can't be taken (the other end has gone again,
/// there are no descriptors left) ends nothing: the next is taken a little later.</summary>
internal static class AcceptLoop
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <param name="places">One for each connection, given back by <paramref name="serve"/>.</param>
    public static async Task RunAsync(
        Socket listener, SemaphoreSlim places, Func<Socket, CancellationToken, Task> serve, CancellationToken closing)
    {
        try
        {
            while (true)
            {
                await places.WaitAsync(closing);
                try
                {
                    _ = serve(await listener.AcceptAsync(closing), closing);
                }
                catch (SocketException) when (!closing.IsCancellationRequested)
                {
                    places.Release();
                    await Task.Delay(Pause, closing);
                }
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Closed.
            return;
        }
    }
}
