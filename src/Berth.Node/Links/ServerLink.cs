using System.Net.Security;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>What the links of one node have in common.</summary>
/// <param name="Kept">Containers, which outlast links.</param>
/// <param name="Shares">What each server has here.</param>
/// <param name="Hello">What the node says of itself.</param>
/// <param name="Heartbeat">How it does, for a link.</param>
/// <param name="Hold">Whether a link may be the one to the server of this name: another address may lead to it too.
/// </param>
/// <param name="Told">Which addresses the servers have.</param>
/// <param name="Linked">Told of each link that was accepted.</param>
/// <param name="Networks">What servers say of networks.</param>
/// <param name="Ahead">Images that may soon be wanted.</param>
/// <param name="Poller">In whose threads links and connections of programs are waited for.</param>
internal sealed record LinkRoom(
    INode Node, PlaceGate Places, VolumeUsers Volumes, KeptContainers Kept, ServerShares Shares,
    Func<NodeHello> Hello, Func<ServerLink, NodeHeartbeat> Heartbeat, Func<ServerLink, string, bool> Hold,
    Action<ServerList> Told, Action<ServerLink> Linked, NodeHearsay Networks, ImagesAhead Ahead, ReadinessPoller Poller,
    TimeProvider Time, ILoggerFactory Loggers, ILogger Logger);

/// <summary>A node's link to one address of a server, made anew whenever it breaks.</summary>
internal sealed class ServerLink : IAsyncDisposable
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RefusedPause = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ShortestTelling = TimeSpan.FromMilliseconds(100);

    private readonly LinkRoom room;
    private readonly LinkService service;
    private readonly CancellationTokenSource over = new();
    private LinkHost? host;
    private bool isRefused;
    private bool wasWelcomed;
    private bool isDouble;
    private readonly Lock counting = new();
    private FrameWriter? control;
    private long told;
    private volatile bool isLinked;

    public ServerLink(Uri address, ServerDoor door, LinkRoom room)
    {
        Address = address;
        Door = door;
        this.room = room;
        service = new LinkService(room, this);
    }

    public Uri Address { get; }

    /// <summary>Name of the server at the other end, as its certificate says; empty before the first link.</summary>
    public string Server { get; private set; } = "";

    /// <summary>Made anew with each certificate.</summary>
    public ServerDoor Door { get; set; }

    public bool IsLinked => isLinked;

    /// <summary>Of the protocol, that the last link spoke; 0 before.</summary>
    public int Version { get; private set; }

    /// <summary>What its server has here.</summary>
    public ServerShares.Share Share => room.Shares.Of(Server);

    public Task Ended { get; private set; } = Task.CompletedTask;

    public void Begin(CancellationToken stop) => Ended = Task.Run(() => RunAsync(stop), CancellationToken.None);

    /// <summary>Ends the link for good.</summary>
    public void End() => over.Cancel();

    /// <param name="version">Of the protocol, spoken from now on.</param>
    public void Welcome(int version)
    {
        Version = version;
        wasWelcomed = true;
        isLinked = true;
        room.Linked(this);
    }

    public void Refuse(string reason)
    {
        isRefused = true;
        LinkLog.Refused(room.Logger, reason);
    }

    /// <summary>The link was accepted, and heartbeats go here; null where it is over.</summary>
    public void Speak(FrameWriter? to) => Volatile.Write(ref control, to);

    /// <summary>Counts an attempt until that is disposed, and gives it room. Throws <c>NoNode</c> where there is none
    /// and it can be refused; its server has been told how the node does by then.</summary>
    public async ValueTask<IDisposable> TakeAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        // Containers last: as instances, they take none of the places.
        AdmissionDemand demand = new(!spec.IsInstance && !spec.IsContainer, spec.Sandbox.Limits.Memory);
        try
        {
            IDisposable place = await room.Places.TakeAsync(demand, spec.Yields, spec.Hold, cancellationToken);
            return Share.Count(demand, place);
        }
        catch (BerthException full)
        {
            LinkLog.NoRoom(room.Logger, spec.Id, full.Message);
            Tell();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await over.CancelAsync();
        await Ended;
        if (host is not null)
        {
            await host.DisposeAsync();
        }

        Door.Dispose();
        over.Dispose();
    }

    /// <summary>Says at once how the node does, but not for each of many refusals.</summary>
    private void Tell()
    {
        lock (counting)
        {
            long now = room.Time.GetTimestamp();
            if (Volatile.Read(ref control) is not { } to || room.Time.GetElapsedTime(told, now) < ShortestTelling)
            {
                return;
            }

            told = now;
            to.Post(
                FrameKind.Heartbeat,
                JsonSerializer.SerializeToUtf8Bytes(room.Heartbeat(this), LinkJson.Default.NodeHeartbeat));
        }
    }

    private static TimeSpan Longer(TimeSpan pause) => pause * 2 < LongestPause ? pause * 2 : LongestPause;

    private async Task RunAsync(CancellationToken stop)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(stop, over.Token);
        TimeSpan pause = ShortestPause;
        while (!either.IsCancellationRequested)
        {
            isRefused = false;
            wasWelcomed = false;
            isDouble = false;
            string reason = await LinkAsync(either.Token);
            isLinked = false;
            if (either.IsCancellationRequested)
            {
                return;
            }

            pause = isRefused || isDouble ? RefusedPause : wasWelcomed ? ShortestPause : Longer(pause);
            if (!isDouble)
            {
                LinkLog.NotLinked(room.Logger, Address.Authority, reason, pause);
            }

            await Task.Delay(pause, room.Time, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>One link from its making to its end; says why it ended.</summary>
    private async Task<string> LinkAsync(CancellationToken stop)
    {
        try
        {
            await using SslStream connection = await Door.DialAsync(room.Poller, stop);
            Server = ServerDoor.NameOf(connection);
            if (!room.Hold(this, Server))
            {
                isDouble = true;
                return "Another address leads to the same server.";
            }

            using CancellationTokenSource end = new();
            await using (stop.UnsafeRegister(_ => _ = LeaveAsync(end), null))
            {
                await (ServerDoor.IsMultiplexed(connection)
                    ? LinkAnswers.ServeAsync(connection, service, room.Time, end.Token)
                    : ServeHttpAsync(connection, end.Token));
            }

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

    /// <summary>Takes leave of the server, which ends the link then; ends it where that does not.</summary>
    private async Task LeaveAsync(CancellationTokenSource end)
    {
        using CancellationTokenSource limit = new(LinkProtocol.LeavingLimit, room.Time);
        try
        {
            if (await service.LeaveAsync(limit.Token))
            {
                end.CancelAfter(LinkProtocol.LeavingLimit);
                return;
            }

            await end.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // It has ended meanwhile.
        }
    }

    /// <summary>For a server of before there were other streams; most never meet one.</summary>
    private async Task ServeHttpAsync(SslStream connection, CancellationToken stop)
    {
        if (host is null)
        {
            host = new LinkHost(service.AnswerAsync, room.Loggers);
            await host.StartAsync(CancellationToken.None);
        }

        await host.ServeAsync(connection, stop);
    }
}
