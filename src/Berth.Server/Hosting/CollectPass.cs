using Microsoft.Extensions.Logging;

namespace Berth.Server.Hosting;

/// <summary>
/// Now and then: removes tags that no rule keeps, deletes content that no image names, drops uploads nobody continued,
/// counts what is there.
/// </summary>
internal sealed class CollectPass(ServerRooms rooms, ILogger logger)
{
    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(rooms.Options.CollectInterval, rooms.Time);
        try
        {
            rooms.Figures.Count();
            while (await timer.WaitForNextTickAsync(stop))
            {
                await PassAsync(stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private async Task PassAsync(CancellationToken stop)
    {
        try
        {
            // Retention first: what it removes goes with the same collection.
            await rooms.Retention.RunAsync(null, stop);
            await rooms.Collector.CollectAsync(stop);
            rooms.Registry.SweepUploads(stop);
            rooms.Figures.Count();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Log.PassFailed(logger, e);
        }
    }
}
