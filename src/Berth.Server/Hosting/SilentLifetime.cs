using Microsoft.Extensions.Hosting;

namespace Berth.Server.Hosting;

/// <summary>For a host that is started and stopped by who made it: it looks at no signals.</summary>
internal sealed class SilentLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
