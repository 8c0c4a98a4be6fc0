namespace Berth.Server.Hosting;

/// <summary>
/// Tells long answers (waits, followed logs, events) that the server is stopping, so that they end in good order.
/// </summary>
internal sealed class ServerLifetime : IDisposable
{
    private readonly CancellationTokenSource stopping = new();

    public CancellationToken Stopping => stopping.Token;

    public bool IsStopping => stopping.IsCancellationRequested;

    public void BeginStopping() => stopping.Cancel();

    public void Dispose() => stopping.Dispose();
}
