using Berth.Oci.Content;
using Berth.Oci.Repositories;
using Berth.Registry.Access;
using Berth.Registry.Endpoints;
using Berth.Registry.Mirrors;
using Berth.Registry.Uploads;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Berth.Registry;

/// <summary>
/// The registry: an OCI distribution server (specification 1.1) over the content and repository stores. Make one for a
/// data folder, map it, and run <see cref="SweepUploads"/> now and then.
/// </summary>
public sealed class RegistryServer : IAsyncDisposable
{
    private readonly UploadStore uploads;
    private readonly MirrorCache mirrors;
    private readonly RegistryHandler handler;
    private readonly ILogger logger;
    private readonly CancellationTokenSource stopping = new();
    private readonly Task closing;

    public RegistryServer(
        RegistryOptions options, ContentStore content, RepositoryStore repositories, IRegistryAuthorizer authorizer,
        IReadOnlyList<IManifestObserver> observers, TimeProvider time, ILoggerFactory loggers)
    {
        logger = loggers.CreateLogger("Berth.Registry");
        uploads = new UploadStore(options.UploadFolder, content, time);
        mirrors = new MirrorCache(options, content, repositories, time, logger);
        RegistryTokens tokens = new(options.TokenKeyPath, time);
        handler = new RegistryHandler(
            authorizer, tokens, new TokenEndpoint(authorizer, tokens, time),
            new BlobEndpoints(content, repositories, mirrors, options.Sharing, Counters, logger),
            new UploadEndpoints(options, content, repositories, uploads, Counters),
            new ManifestEndpoints(content, repositories, mirrors, options.Sharing, observers, Counters, logger),
            new ListEndpoints(repositories, mirrors),
            mirrors, logger);
        PeriodicTimer timer = new(UploadStore.ClosePeriod, time);
        closing = Task.Run(() => CloseIdleUploadsAsync(timer), CancellationToken.None);
    }

    public RegistryCounters Counters { get; } = new();

    /// <summary>Maps everything under <c>/v2</c>. The registry authenticates by itself, as its protocol says.</summary>
    public IEndpointConventionBuilder Map(IEndpointRouteBuilder endpoints) =>
        endpoints.Map("/v2/{**path}", handler.HandleAsync);

    /// <summary>Removes uploads that nobody continued for a day.</summary>
    public void SweepUploads(CancellationToken cancellationToken)
    {
        int removed = uploads.Sweep(cancellationToken);
        if (removed > 0)
        {
            Log.UploadsExpired(logger, removed);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await closing;
        await mirrors.DisposeAsync();
        await uploads.CloseAllAsync();
        stopping.Dispose();
    }

    /// <summary>A pass of its own: collecting may come hours apart, and open uploads are few.</summary>
    private async Task CloseIdleUploadsAsync(PeriodicTimer timer)
    {
        using (timer)
        {
            while (await NextAsync(timer))
            {
                try
                {
                    await uploads.CloseIdleAsync();
                }
                catch (Exception error)
                {
                    Log.UploadsNotClosed(logger, error);
                }
            }
        }
    }

    private async Task<bool> NextAsync(PeriodicTimer timer)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stopping.Token);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}

/// <summary>Puts a registry among an application's endpoints.</summary>
public static class RegistryRouting
{
    public static IEndpointConventionBuilder MapRegistry(
        this IEndpointRouteBuilder endpoints, RegistryServer registry) => registry.Map(endpoints);
}
