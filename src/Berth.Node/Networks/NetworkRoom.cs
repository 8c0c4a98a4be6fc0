using System.Collections.Concurrent;
using System.Net;
using Berth.Core.Errors;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Networks;

/// <summary>A network with what serves it: its resolver, and endpoints that stand ready, so that a sandbox waits for
/// none to be made.</summary>
internal sealed class NetworkRoom : IAsyncDisposable
{
    /// <summary>Each takes an address and a namespace.</summary>
    private const int Ready = 4;

    private readonly ConcurrentQueue<Endpoint> ready = new();
    private readonly ILogger logger;
    private readonly Resolver resolver;
    private int refilling;
    private volatile bool closed;

    public NetworkRoom(BridgeNetwork network, ILogger logger)
    {
        Network = network;
        this.logger = logger;
        resolver = Resolver.Start(network, logger);
    }

    public BridgeNetwork Network { get; }

    /// <summary>Whether a sandbox is in it.</summary>
    public bool IsUsed => Network.Endpoints > ready.Count;

    /// <summary>One that stands ready where there is one. Throws as <see cref="BridgeNetwork.MakeEndpoint"/>.</summary>
    /// <param name="address">Null for any; made for the occasion otherwise.</param>
    public Endpoint Take(IPAddress? address)
    {
        if (address is not null)
        {
            return TakeGiven(address);
        }

        Endpoint taken = ready.TryDequeue(out Endpoint? prepared) ? prepared : Network.MakeEndpoint(null);
        if (Interlocked.Exchange(ref refilling, 1) == 0)
        {
            _ = Task.Run(Refill);
        }

        return taken;
    }

    public async ValueTask DisposeAsync()
    {
        closed = true;
        await resolver.DisposeAsync();
        Empty();
        Network.Dispose();
    }

    /// <summary>One that stands ready may have the very address: then it gives way.</summary>
    private Endpoint TakeGiven(IPAddress address)
    {
        try
        {
            return Network.MakeEndpoint(address);
        }
        catch (BerthException) when (ready.Any(e => e.Address.Equals(address)))
        {
            Empty();
            return Network.MakeEndpoint(address);
        }
    }

    private void Refill()
    {
        try
        {
            while (!closed && ready.Count < Ready)
            {
                ready.Enqueue(Network.MakeEndpoint(null));
            }
        }
        catch (Exception error) when (error is LinuxException or BerthException or ObjectDisposedException)
        {
            // Whoever needs one makes it, and is told why it can't be.
            Log.EndpointNotReady(logger, Network.Definition.Name, error);
        }
        finally
        {
            Volatile.Write(ref refilling, 0);
            if (closed)
            {
                Empty();
            }
        }
    }

    private void Empty()
    {
        while (ready.TryDequeue(out Endpoint? endpoint))
        {
            endpoint.Dispose();
        }
    }
}
