using System.Collections.Concurrent;
using Berth.Oci.Distribution;

namespace Berth.Registry.Mirrors;

/// <summary>
/// The connections to upstream registries, kept over requests so that a token is not fetched for each. They are few:
/// one for each repository that is asked for, and forgotten as a whole when there are too many.
/// </summary>
/// <param name="connect">Decides which addresses may be connected to; null allows all.</param>
internal sealed class UpstreamConnections(
    TimeProvider time, Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? connect) : IDisposable
{
    private const int Most = 1000;

    private readonly ConcurrentDictionary<UpstreamPolicy, RegistryConnection> registries = new();
    private readonly ConcurrentDictionary<UpstreamRepository, RegistryRepository> repositories = new();

    public RegistryRepository Of(UpstreamRepository upstream)
    {
        if (repositories.Count > Most)
        {
            repositories.Clear();
        }

        return repositories.GetOrAdd(upstream, Open);
    }

    public void Dispose()
    {
        foreach (RegistryConnection registry in registries.Values)
        {
            registry.Dispose();
        }
    }

    private RegistryRepository Open(UpstreamRepository upstream)
    {
        RegistryConnection registry = registries.GetOrAdd(
            upstream.Upstream,
            policy => new RegistryConnection(
                new Uri(policy.Parse().GetLeftPart(UriPartial.Authority)), policy.Credentials, time, connect));
        return registry.Repository(upstream.Repository);
    }
}
