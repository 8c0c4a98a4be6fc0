using Berth.Api.Server;
using Berth.Core.Resources;
using Berth.Server.Configuration;
using Berth.Server.Store;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Hosting;

/// <summary><c>/healthz</c>: the program answers. <c>/readyz</c>: it can take work, or why not.</summary>
internal sealed class HealthEndpoints(ServerOptions options, IRunStore store, ServerLifetime lifetime)
{
    /// <summary>Below this new work would soon find the disk full.</summary>
    private static readonly ByteSize LeastDisk = ByteSize.MiB(64);

    public Task HealthAsync(HttpContext context) =>
        JsonBody.WriteAsync(context, new HealthView("ok", []), ServerJson.Default.HealthView);

    public Task ReadyAsync(HttpContext context)
    {
        HealthCheckView[] checks = [Server(), Store(), Disk()];
        bool ok = checks.All(c => c.Ok);
        return JsonBody.WriteAsync(
            context, new HealthView(ok ? "ok" : "failing", checks), ServerJson.Default.HealthView,
            ok ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }

    private HealthCheckView Server() => lifetime.IsStopping
        ? new("server", false, "The server is stopping.")
        : new("server", true, null);

    private HealthCheckView Store() => store.Condition switch
    {
        StoreCondition.Accepting => new("store", true, null),
        StoreCondition.Full => new("store", false, "The disk of the data folder is full: free some space."),
        StoreCondition.Damaged => new(
            "store", false, "The store is damaged: stop the server and restore a backup. The server's log has more."),
        StoreCondition.Refused => new(
            "store", false, "The database refuses this server's password. The server's log says where it has to be."),
        _ => new("store", false, "Writing fails; the store is being reopened. The server's log has the cause."),
    };

    private HealthCheckView Disk()
    {
        ByteSize free = ByteSize.FromBytes(new DriveInfo(options.DataFolder).AvailableFreeSpace);
        return free >= LeastDisk
            ? new("disk", true, null)
            : new("disk", false,
                $"Only {free} are free in the data folder: free some space, at least {LeastDisk} are needed.");
    }
}
