using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Runs;

namespace Berth.Server.RunEndpoints;

/// <summary>Waiting for a run on behalf of a caller who holds the line.</summary>
internal static class RunWait
{
    /// <summary>The run once it has ended; as it is when the time is over or the server begins to stop, so that nobody
    /// who waits keeps it from stopping.</summary>
    public static async Task<Run> WaitAsync(
        this IRunManager runs, RunId id, TimeSpan wait, ServerLifetime lifetime, CancellationToken aborted)
    {
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(aborted, lifetime.Stopping);
        try
        {
            return await runs.WaitAsync(id, wait, either.Token);
        }
        catch (OperationCanceledException) when (!aborted.IsCancellationRequested)
        {
            return await runs.GetAsync(id, aborted);
        }
    }
}
