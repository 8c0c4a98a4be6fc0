using System.Net.Security;
using System.Reflection;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>
/// A node that works for a server on another machine: keeps a link to it, made anew whenever it breaks, answers what
/// comes over it, and has its certificate renewed in time. The node under it knows nothing of this.
/// </summary>
public sealed class LinkedNode : IAsyncDisposable
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RefusedPause = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan RenewalLook = TimeSpan.FromMinutes(10);

    private readonly INode node;
    private readonly FetchedImages images;
    private readonly Uri server;
    private readonly string folder;
    private readonly int places;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly LinkHost host;
    private readonly NodeFacts facts;
    private NodeIdentity identity;
    private ServerDoor door;
    private bool isRefused;
    private bool wasWelcomed;

    /// <param name="folder">Where its identity is kept.</param>
    /// <param name="places">Sandboxes that it runs at once.</param>
    public LinkedNode(
        INode node, FetchedImages images, Uri server, NodeIdentity identity, string folder, int places,
        TimeProvider time, ILoggerFactory loggers)
    {
        this.node = node;
        this.images = images;
        this.server = server;
        this.identity = identity;
        this.folder = folder;
        this.places = places;
        this.time = time;
        logger = loggers.CreateLogger<LinkedNode>();
        facts = MachineReading.Facts(node.Info);
        door = ServerDoor.Of(server, identity, time);
        images.Door = door;
        LinkService service = new(node, Hello, Heartbeat, _ => Welcome(), Refuse, time, logger);
        host = new LinkHost(service.AnswerAsync, loggers);
    }

    /// <summary>Called with each link that the server accepted.</summary>
    public Action Linked { get; init; } = static () => { };

    /// <summary>Keeps the link until <paramref name="stop"/>.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        await host.StartAsync(stop);
        Task renewing = RenewAsync(stop);
        TimeSpan pause = ShortestPause;
        while (!stop.IsCancellationRequested)
        {
            isRefused = false;
            wasWelcomed = false;
            string reason = await LinkAsync(stop);
            if (stop.IsCancellationRequested)
            {
                break;
            }

            pause = isRefused ? RefusedPause : wasWelcomed ? ShortestPause : Longer(pause);
            LinkLog.NotLinked(logger, server.Authority, reason, pause);
            await Task.Delay(pause, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await renewing;
    }

    public async ValueTask DisposeAsync()
    {
        await host.DisposeAsync();
        door.Dispose();
        identity.Dispose();
    }

    private static TimeSpan Longer(TimeSpan pause) => pause * 2 < LongestPause ? pause * 2 : LongestPause;

    /// <summary>One link from its making to its end; says why it ended.</summary>
    private async Task<string> LinkAsync(CancellationToken stop)
    {
        try
        {
            SslStream connection = await door.DialAsync(stop);
            await host.ServeAsync(connection, stop);
            return isRefused ? "The server refused it."
                : wasWelcomed ? "The link broke."
                : "The server closed it: does it know this node still? 'berth node ls' there shows its nodes.";
        }
        catch (BerthException refusal)
        {
            return refusal.Message;
        }
        catch (Exception gone) when (gone is OperationCanceledException or IOException)
        {
            return gone.Message;
        }
    }

    private void Welcome()
    {
        wasWelcomed = true;
        LinkLog.Linked(logger, identity.Name, server.Authority);
        Linked();
    }

    private void Refuse(string reason)
    {
        isRefused = true;
        LinkLog.Refused(logger, reason);
    }

    private NodeHello Hello() => new(
        LinkProtocol.OldestVersion, LinkProtocol.Version,
        typeof(LinkedNode).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
            ?.InformationalVersion.Split('+')[0] ?? "0.0.0",
        time.GetUtcNow(), facts, places);

    private NodeHeartbeat Heartbeat()
    {
        NodeStatus status = node.Status();
        (long free, long total) = MachineReading.Disk(folder);
        Dictionary<string, int> ready = status.Sandboxes.Where(s => s.State == "ready")
            .GroupBy(s => s.Image.Text, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Count());
        return new NodeHeartbeat(
            time.GetUtcNow(), status.Sandboxes.Count(s => s.State == "running"), ready.Values.Sum(),
            MachineReading.Load(), MachineReading.MemoryFree(), free, total, images.Held, ready);
    }

    /// <summary>The link goes on with the certificate it has; the next one is made with the new.</summary>
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

    private async Task RenewOnceAsync(CancellationToken stop)
    {
        try
        {
            identity = await door.RenewAsync(folder, stop);
            door = ServerDoor.Of(server, identity, time);
            images.Door = door;
            LinkLog.Renewed(logger, identity.End);
        }
        catch (BerthException refusal)
        {
            LinkLog.NotRenewed(logger, refusal.Message);
        }
    }
}
