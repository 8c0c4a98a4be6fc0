using System.Collections.Concurrent;
using System.Net;
using System.Reflection;
using System.Text;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Node.Linux;
using Berth.Node.Neighbours;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>
/// A node that works for the servers of another machine, or of several that share a store: keeps a link to each, and
/// has its certificate renewed in time. Which servers there are it hears from any of them. The node under it knows
/// nothing of this.
/// </summary>
public sealed class LinkedNode : IBlobOrigin, IAsyncDisposable
{
    /// <summary>Addresses that servers may tell.</summary>
    private const int MostServers = 64;

    private const string ServersFile = "servers";

    /// <summary>A tenth of the disk.</summary>
    private const int LeastFreePart = 10;

    /// <summary>What is asked only to fetch sooner waits no longer.</summary>
    private static readonly TimeSpan AskingLimit = TimeSpan.FromSeconds(3);

    /// <summary>What a slow disk takes longer to tell of its images is told with a later heartbeat.</summary>
    private static readonly TimeSpan RecallLimit = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan RenewalLook = TimeSpan.FromMinutes(10);

    private readonly IReadOnlyList<Uri> given;
    private readonly string folder;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly NodeFacts facts;
    private readonly FetchedImages images;
    private readonly PlaceGate places;
    private readonly VolumeUsers volumes = new();
    private readonly KeptContainers containers;
    private readonly LinkRoom room;
    private readonly NodeHearsay networks;
    private readonly ImagesAhead ahead;
    private readonly ConcurrentDictionary<Uri, ServerLink> links = new();
    private readonly ConcurrentDictionary<string, ServerLink> servers = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<ServerLink> ended = [];
    private readonly ReadinessPoller poller = new();
    private readonly Lock gate = new();
    private readonly Lock remembering = new();
    private readonly ILoggerFactory loggers;
    private NodeIdentity identity;
    private LayerDoor? door;
    private CancellationToken stop;

    /// <param name="servers">Addresses of one or several servers of one authority.</param>
    /// <param name="folder">Where its identity is kept.</param>
    /// <param name="places">Sandboxes that it runs at once.</param>
    /// <param name="advertised">Under which other nodes reach it; null for the address from which it reaches each
    /// server.</param>
    public LinkedNode(
        INode node, FetchedImages images, IReadOnlyList<Uri> servers, NodeIdentity identity, string folder, int places,
        IPAddress? advertised, TimeProvider time, ILoggerFactory loggers)
    {
        given = servers;
        this.images = images;
        this.identity = identity;
        this.folder = folder;
        this.time = time;
        this.loggers = loggers;
        this.places = new PlaceGate(places, node.Info.Memory, time);
        logger = loggers.CreateLogger<LinkedNode>();
        images.Origin = this;
        images.Neighbours = new NearbyNodes(NeighboursAsync, () => this.identity, time, logger);
        containers = new KeptContainers(node, volumes, Path.Combine(folder, "containers"), time, logger);
        networks = new NodeHearsay(node.SharedNetworks, advertised);
        facts = MachineReading.Facts(node.Info).With(networks.Key);
        ahead = new ImagesAhead(node, images, HasDisk, time, logger);
        room = new LinkRoom(
            node, this.places, volumes, containers, new ServerShares(), Hello, link => Heartbeat(node, link), Hold,
            Learn, Welcome, networks, ahead, poller, time, loggers, logger);
    }

    /// <summary>Called with the address of each server that accepted a link.</summary>
    public Action<Uri> Linked { get; init; } = static _ => { };

    /// <summary>Protocols for its links, the best first: programs of before know fewer.</summary>
    internal IReadOnlyList<string> Offers { get; init; } = LinkProtocol.Offers;

    /// <summary>Newest version of the link that it says to speak: programs of before know older ones.</summary>
    internal int NewestVersion { get; init; } = LinkProtocol.Version;

    /// <summary>Its room.</summary>
    internal PlaceGate Room => places;

    /// <summary>Where other nodes may fetch layers from this one; null for nowhere.</summary>
    public IPEndPoint? ShareLayers { get; init; }

    /// <summary>Tells a log of what was fetched.</summary>
    public static Action<Digest, int, TimeSpan> ToldTo(ILoggerFactory loggers)
    {
        ILogger logger = loggers.CreateLogger<FetchedImages>();
        return (image, parts, took) => LinkLog.Fetched(logger, image, parts, took);
    }

    /// <summary>Keeps the links until <paramref name="stop"/>. Throws <c>InvalidConfiguration</c> where layers can't be
    /// offered.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        this.stop = stop;
        foreach (string former in FormerVolumes.In(folder))
        {
            LinkLog.FormerVolumes(logger, former);
        }

        await ShareAsync(stop);
        Task recalling = Task.Run(() => RecallAsync(stop), CancellationToken.None);
        try
        {
            await recalling.WaitAsync(RecallLimit, time, stop);
        }
        catch (Exception waited) when (waited is TimeoutException or OperationCanceledException)
        {
            // It goes on beside the links, or ends.
        }

        foreach (Uri address in given.Concat(Remembered()).Distinct())
        {
            Add(address);
        }

        Task fetching = ahead.RunAsync(stop);
        await RenewAsync(stop);
        await Task.WhenAll(links.Values.Select(link => link.Ended));
        await fetching;
        await recalling;
    }

    /// <summary>Of the servers that are linked first. Throws <c>BlobUnknown</c>, <c>Upstream</c>.</summary>
    public async Task<Stream> OpenBlobAsync(Digest digest, CancellationToken cancellationToken)
    {
        BerthException? refused = null;
        foreach (ServerLink link in links.Values.OrderByDescending(link => link.IsLinked))
        {
            try
            {
                return await link.Door.OpenBlobAsync(digest, cancellationToken);
            }
            catch (BerthException refusal)
            {
                refused = refusal.Code == ErrorCode.Upstream ? refused ?? refusal : refusal;
            }
        }

        throw refused ?? new BerthException(ErrorCode.Upstream, "There is no server to ask.");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ServerLink link in links.Values.Concat(ended))
        {
            await link.DisposeAsync();
        }

        await (door?.DisposeAsync() ?? ValueTask.CompletedTask);
        await containers.DisposeAsync();
        networks.Dispose();
        poller.Dispose();
        identity.Dispose();
    }

    private void Add(Uri address)
    {
        lock (gate)
        {
            if (stop.IsCancellationRequested || links.ContainsKey(address))
            {
                return;
            }

            ServerLink link = new(address, DoorTo(address), room);
            links[address] = link;
            link.Begin(stop);
        }
    }

    /// <summary>One link to each server, whatever addresses lead to it.</summary>
    private bool Hold(ServerLink link, string server)
    {
        ServerLink holder = servers.AddOrUpdate(
            server, link, (_, before) => before == link || !before.IsLinked ? link : before);
        return holder == link;
    }

    /// <summary>Takes in what a server said of all of them: new ones are linked, those that are no more are let go.
    /// </summary>
    private void Learn(ServerList told)
    {
        List<Uri> addresses = [];
        foreach (string text in (told.Addresses ?? []).Take(MostServers))
        {
            try
            {
                addresses.Add(ServerDoor.Parse(text));
            }
            catch (BerthException nonsense)
            {
                LinkLog.BadOrder(logger, nonsense.Message);
            }
        }

        foreach (Uri address in addresses)
        {
            Add(address);
        }

        foreach ((Uri address, ServerLink link) in links)
        {
            if (!link.IsLinked && !given.Contains(address) && !addresses.Contains(address)
                && links.TryRemove(address, out _))
            {
                link.End();
                ended.Add(link);
            }
        }

        Remember(addresses);
    }

    private void Welcome(ServerLink link)
    {
        LinkLog.Linked(logger, identity.Name, link.Address.Authority);
        Linked(link.Address);
    }

    /// <summary>So that it finds one of them when it starts and the others are away.</summary>
    private void Remember(IEnumerable<Uri> addresses)
    {
        try
        {
            // Two servers may tell the same at once.
            lock (remembering)
            {
                DurableFile.ReplacePrivate(
                    Path.Combine(folder, ServersFile),
                    Encoding.ASCII.GetBytes(string.Concat(addresses.Select(a => a.AbsoluteUri + "\n"))));
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or BerthException)
        {
            LinkLog.NotRemembered(logger, error.Message);
        }
    }

    private IEnumerable<Uri> Remembered()
    {
        string file = Path.Combine(folder, ServersFile);
        return !File.Exists(file)
            ? []
            : File.ReadLines(file).Take(MostServers)
                .Select(line => Uri.TryCreate(line, UriKind.Absolute, out Uri? address) ? address : null)
                .OfType<Uri>().Where(address => address.Scheme == "https");
    }

    private NodeHello Hello() => new(
        LinkProtocol.OldestVersion, NewestVersion,
        typeof(LinkedNode).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
            ?.InformationalVersion.Split('+')[0] ?? "0.0.0",
        time.GetUtcNow(), facts, places.Places,
        Sharing: NewestVersion >= LinkProtocol.NeighboursVersion ? door?.Offer : null);

    private NodeHeartbeat Heartbeat(INode node, ServerLink link)
    {
        NodeStatus status = node.Status();
        (long free, long total) = MachineReading.Disk(folder);
        Dictionary<string, int> ready = status.Sandboxes.Where(s => s.State == "ready")
            .GroupBy(s => s.Image.Text, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Count());
        return new NodeHeartbeat(
            time.GetUtcNow(), status.Sandboxes.Count(s => s.State == "running"), ready.Values.Sum(),
            MachineReading.Load(), MachineReading.MemoryFree(), free, total, images.Held, ready,
            Math.Max(0, places.Taken - link.Share.Running), ahead.Coming,
            Math.Max(0, places.Promised.Bytes - link.Share.Promised), images.FromNeighbours, images.FromOrigin);
    }

    /// <summary>Images that it had before it started.</summary>
    private async Task RecallAsync(CancellationToken cancellationToken)
    {
        try
        {
            int count = await images.RecallAsync(cancellationToken);
            if (count > 0)
            {
                LinkLog.Recalled(logger, count);
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
        catch (Exception unread)
        {
            // Whatever it is: what is not told is asked for or fetched again.
            LinkLog.NotRecalled(logger, unread.Message);
        }
    }

    private async Task ShareAsync(CancellationToken cancellationToken)
    {
        if (ShareLayers is { } address)
        {
            Guests guests = new(identity.Authority, HasCertificateAsync, time);
            door = new LayerDoor(address, images.OpenLayer, guests, time, loggers);
            await door.OpenAsync(cancellationToken);
        }
    }

    /// <summary>Null where no server that is linked and knows of neighbours answers soon.</summary>
    private Task<NeighbourList?> NeighboursAsync(Digest image, CancellationToken cancellationToken) =>
        AskAsync((server, token) => Nullable(server.NeighboursAsync(image, token)), cancellationToken);

    private async Task<bool> HasCertificateAsync(string node, string hash, CancellationToken cancellationToken) =>
        await AskAsync(
            async (server, token) => (bool?)await server.HasCertificateAsync(node, hash, token), cancellationToken)
        ?? false;

    private static async Task<NeighbourList?> Nullable(Task<NeighbourList> asked) => await asked;

    /// <summary>The first answer of a server that knows of neighbours; default where none answers.</summary>
    private async Task<T?> AskAsync<T>(
        Func<ServerDoor, CancellationToken, Task<T?>> question, CancellationToken cancellationToken)
    {
        foreach (ServerLink link in links.Values.Where(
            l => l.IsLinked && Math.Min(l.Version, NewestVersion) >= LinkProtocol.NeighboursVersion))
        {
            using CancellationTokenSource limit = new(AskingLimit, time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
                limit.Token, cancellationToken);
            try
            {
                return await question(link.Door, either.Token);
            }
            catch (Exception fault) when (
                fault is BerthException || (fault is OperationCanceledException
                    && !cancellationToken.IsCancellationRequested))
            {
                LinkLog.NoNeighbours(logger, link.Address.Authority, fault.Message);
            }
        }

        return default;
    }

    /// <summary>What nobody has asked for yet does not take the last of the disk.</summary>
    private bool HasDisk()
    {
        (long free, long total) = MachineReading.Disk(folder);
        return free >= total / LeastFreePart;
    }

    /// <summary>The links go on with the certificate they have; the next ones are made with the new.</summary>
    private async Task RenewAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(RenewalLook, time);
        try
        {
            do
            {
                if (time.GetUtcNow() >= identity.RenewAt)
                {
                    await RenewOnceAsync(stop);
                }
            }
            while (await timer.WaitForNextTickAsync(stop));
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private ServerDoor DoorTo(Uri server) => ServerDoor.Of(server, identity, time, Offers);

    /// <summary>By any server: all sign with one authority.</summary>
    private async Task RenewOnceAsync(CancellationToken stop)
    {
        foreach (ServerLink link in links.Values.OrderByDescending(link => link.IsLinked))
        {
            try
            {
                identity = await link.Door.RenewAsync(folder, stop);
                foreach (ServerLink each in links.Values)
                {
                    each.Door = DoorTo(each.Address);
                }

                LinkLog.Renewed(logger, identity.End);
                return;
            }
            catch (BerthException refusal)
            {
                LinkLog.NotRenewed(logger, refusal.Message);
            }
        }
    }
}
