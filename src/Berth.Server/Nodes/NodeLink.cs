using System.Net;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Networks;

namespace Berth.Server.Nodes;

/// <summary>
/// The server's end of one connection that a node made, over which the server asks. It lasts as long as the connection
/// does and is never made anew from here.
/// </summary>
internal sealed class NodeLink : IDisposable
{
    private readonly ILinkStreams streams;
    private readonly LinkExchange control;
    private readonly CancellationTokenSource closed = new();
    private readonly FrameReader frames;
    private int disposed;

    private NodeLink(
        string name, ILinkStreams streams, LinkExchange control, FrameReader frames, NodeHello hello)
    {
        Name = name;
        this.streams = streams;
        this.control = control;
        this.frames = frames;
        Hello = hello;
        Underlay = IPAddress.TryParse(hello.Underlay, out IPAddress? address) ? LinkAddress.OfMachine(address) : null;
        Key = PeerKey.TryParse(hello.Key, out PeerKey? key) ? key : null;
    }

    /// <summary>Of the node that holds the certificate.</summary>
    public string Name { get; }

    public NodeHello Hello { get; }

    public NodeHeartbeat? Heartbeat { get; private set; }

    /// <summary>What can be found on it, as it says.</summary>
    public IReadOnlyList<NetworkPresence> Presence { get; private set; } = [];

    /// <summary>Under which other machines reach it; null where it is in no network with others.</summary>
    public IPAddress? Underlay { get; }

    /// <summary>For encrypted networks; null where it can have none.</summary>
    public PeerKey? Key { get; }

    /// <summary>Where it offers its layers to other nodes; null for nowhere.</summary>
    public LayerOffer? Sharing => Hello.Sharing;

    /// <summary>Time stamp of the last sign of life.</summary>
    public long Heard { get; private set; }

    /// <summary>Whether the node knows of connections to programs: only then it can have instances.</summary>
    public bool HasConnections => Hello.NewestVersion >= LinkProtocol.ConnectionsVersion;

    /// <summary>Whether its attempts can have volumes and folders.</summary>
    public bool HasMounts => Hello.NewestVersion >= LinkProtocol.MountsVersion;

    /// <summary>Whether the node keeps containers.</summary>
    public bool HasContainers => Hello.NewestVersion >= LinkProtocol.ContainersVersion;

    /// <summary>Whether the node fetches images before something needs them.</summary>
    public bool FetchesAhead => Hello.NewestVersion >= LinkProtocol.FetchVersion;

    /// <summary>Whether the node tells what runs in its containers.</summary>
    public bool HasProcesses => Hello.NewestVersion >= LinkProtocol.ProcessesVersion;

    /// <summary>Whether the node may offer its layers, and asks who does.</summary>
    public bool KnowsNeighbours => Hello.NewestVersion >= LinkProtocol.NeighboursVersion;

    /// <summary>Whether the node said that it leaves, and so ended the link itself.</summary>
    public bool HasLeft { get; private set; }

    public FrameWriter Control => control.Writer;

    /// <summary>Cancelled when it is over.</summary>
    public CancellationToken Closed => closed.Token;

    /// <summary>Greets the node at the other end, whose streams these are from now on. Throws BerthException
    /// (<c>Conflict</c>) where the two can't work together, IOException where it does not speak the language.</summary>
    /// <param name="name">Of the node, as its certificate says.</param>
    public static async Task<NodeLink> OpenAsync(
        ILinkStreams streams, string name, TimeProvider time, CancellationToken cancellationToken)
    {
        LinkExchange? control = null;
        try
        {
            control = streams.Open(LinkProtocol.ControlPath);
            FrameReader frames = await control.ReaderAsync(cancellationToken);
            Frame first = await frames.ReadAsync(cancellationToken)
                ?? throw new LinkException("The node ended its link without a word.");
            if (first.Kind != FrameKind.Hello)
            {
                throw new LinkException($"The node began its link with a frame {first.Kind}.");
            }

            NodeHello hello = Bounded(first.Read(LinkJson.Default.NodeHello));
            if (Complaint(hello, time.GetUtcNow()) is { } complaint)
            {
                await control.Writer.SendAsync(
                    FrameKind.Refused, new RefusalReport("conflict", complaint, null),
                    LinkJson.Default.RefusalReport, cancellationToken);
                // The node ends the link once it has read that.
                while (await frames.ReadAsync(cancellationToken) is not null)
                {
                    continue;
                }

                throw new BerthException(ErrorCode.Conflict, complaint);
            }

            await control.Writer.SendAsync(
                FrameKind.Welcome, new NodeWelcome(Math.Min(LinkProtocol.Version, hello.NewestVersion)),
                LinkJson.Default.NodeWelcome, cancellationToken);
            return new NodeLink(name, streams, control, frames, hello) { Heard = time.GetTimestamp() };
        }
        catch
        {
            control?.Dispose();
            streams.Dispose();
            throw;
        }
    }

    /// <summary>Begins a stream. Throws IOException where the link is over.</summary>
    public LinkExchange Open(string path) => closed.IsCancellationRequested
        ? throw new IOException("The link is over.")
        : streams.Open(path);

    /// <summary>Tells the node which servers there are, where it knows of several.</summary>
    public void Tell(IReadOnlyList<string> servers)
    {
        if (Hello.NewestVersion >= LinkProtocol.ServersVersion && servers.Count > 0)
        {
            Control.Post(
                FrameKind.Servers,
                JsonSerializer.SerializeToUtf8Bytes(new ServerList(servers), LinkJson.Default.ServerList));
        }
    }

    /// <summary>Takes heartbeats until the link ends.</summary>
    /// <param name="heard">Called with each.</param>
    /// <param name="told">Called when it said what can be found on it, or that it leaves.</param>
    public async Task ListenAsync(
        TimeProvider time, Action heard, Action told, CancellationToken cancellationToken)
    {
        try
        {
            while (await frames.ReadAsync(cancellationToken) is { } frame)
            {
                if (frame.Kind == FrameKind.Presence)
                {
                    Presence = frame.Read(NetworkLinkJson.Default.PresenceReport).Read();
                    told();
                    continue;
                }

                if (frame.Kind == FrameKind.Leaving)
                {
                    // Before what it had is told that it is lost: nothing of that is to be begun there again.
                    HasLeft = true;
                    told();
                    return;
                }

                if (frame.Kind != FrameKind.Heartbeat)
                {
                    throw new LinkException($"The node sent a frame {frame.Kind} among its heartbeats.");
                }

                Heartbeat = frame.Read(LinkJson.Default.NodeHeartbeat);
                Heard = time.GetTimestamp();
                heard();
            }
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException or OperationCanceledException
            or ObjectDisposedException)
        {
            return;
        }
        finally
        {
            Dispose();
        }
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            closed.Cancel();
            control.Dispose();
            streams.Dispose();
        }
    }

    /// <summary>What keeps server and node from working together; null where nothing does.</summary>
    public static string? Complaint(NodeHello hello, DateTimeOffset now)
    {
        if (hello.OldestVersion > LinkProtocol.Version || hello.NewestVersion < LinkProtocol.OldestVersion)
        {
            return $"It speaks versions {hello.OldestVersion} to {hello.NewestVersion} of the link (Berth "
                + $"{hello.Program}), this server {LinkProtocol.OldestVersion} to {LinkProtocol.Version}: install the "
                + "same version of Berth on both.";
        }

        return ClockComplaint(hello.Clock, now);
    }

    /// <summary>What is wrong with a node's clock; null where nothing is.</summary>
    public static string? ClockComplaint(DateTimeOffset clock, DateTimeOffset now)
    {
        TimeSpan off = clock - now;
        string way = off > TimeSpan.Zero ? "ahead of" : "behind";
        return off.Duration() <= LinkProtocol.MaxClockSkew
            ? null
            : $"Its clock is {(long)Math.Round(off.Duration().TotalMinutes)} min {way} the server's and may be "
                + $"{(long)LinkProtocol.MaxClockSkew.TotalMinutes} min off: set it, with NTP for instance.";
    }

    /// <summary>A node's word about itself, kept and shown: within what a machine can be.</summary>
    private static NodeHello Bounded(NodeHello hello)
    {
        const int MostCores = 4096;
        const long MostMemory = 1L << 50;
        NodeFacts facts = hello.Facts ?? throw new LinkException("The node says nothing of itself.");
        return hello with
        {
            Program = Short(hello.Program),
            Sharing = hello.NewestVersion >= LinkProtocol.NeighboursVersion && hello.Sharing?.Read() is { } place
                ? hello.Sharing with { Address = place.ToString() }
                : null,
            Facts = facts with
            {
                Engine = Short(facts.Engine),
                Architecture = Short(facts.Architecture),
                OperatingSystem = Short(facts.OperatingSystem),
                Kernel = Short(facts.Kernel),
                Cores = Math.Clamp(facts.Cores, 1, MostCores),
                MemoryBytes = Math.Clamp(facts.MemoryBytes, 0, MostMemory),
                Features = [.. (facts.Features ?? []).Take(64).Select(Short)],
                Devices =
                [
                    .. (facts.Devices ?? []).Take(64).Select(d => new DeviceFact(
                        Short(d.Model), Math.Clamp(d.MemoryBytes, 0, MostMemory))),
                ],
                HostFolders = new HostFolders((facts.HostFolders ?? []).Take(HostFolders.Most), data: null).Allowed,
            },
        };

        static string Short(string? text) => Quoted.Of(text is { Length: > 100 } ? text[..100] : text ?? "");
    }
}
