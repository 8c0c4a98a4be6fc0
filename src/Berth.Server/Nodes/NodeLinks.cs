using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

/// <summary>Serves the links that nodes open: greets each, gives it to the register and listens to it until it
/// ends.</summary>
/// <param name="servers">Addresses of the servers that a node may link.</param>
internal sealed class NodeLinks(
    NodeRegister register, Func<IReadOnlyList<string>> servers, TimeProvider time, ILogger logger)
{
    /// <summary>What a node may say of itself is believed up to here.</summary>
    private const int MostPlaces = 10_000;
    private const int PlacesOfCore = 64;

    private static readonly TimeSpan GreetingLimit = TimeSpan.FromSeconds(10);

    /// <summary>Completes when the connection may be closed.</summary>
    /// <param name="certificate">SHA-256 of the one it came with.</param>
    /// <param name="streams">Of the connection.</param>
    public async Task ServeAsync(
        NodeEntry node, string certificate, ILinkStreams streams, CancellationToken cancellationToken)
    {
        NodeLink link;
        try
        {
            using CancellationTokenSource limit = new(GreetingLimit, time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
                limit.Token, cancellationToken);
            link = await NodeLink.OpenAsync(streams, node.Name, time, either.Token);
        }
        catch (Exception fault) when (
            fault is BerthException or IOException or HttpRequestException or OperationCanceledException)
        {
            string reason = fault is BerthException
                ? fault.Message
                : $"It did not greet as a node does: {fault.Message}";
            node.Problem = reason;
            Log.Refused(logger, node.Name, reason);
            return;
        }

        using (link)
        {
            await BeginAsync(node, certificate, link, cancellationToken);
            await link.ListenAsync(
                time,
                () =>
                {
                    register.Fetched.Hear(node, link.Heartbeat!);
                    if (node.Hear(time.GetElapsedTime(0)))
                    {
                        register.Tell(node);
                    }
                    else
                    {
                        register.Note(node);
                    }
                },
                () => register.Tell(node),
                cancellationToken);
        }

        await EndAsync(node, link);
    }

    private async Task BeginAsync(
        NodeEntry node, string certificate, NodeLink link, CancellationToken cancellationToken)
    {
        NodeHello hello = link.Hello;
        try
        {
            await register.ChangeAsync(
                node.Name,
                record => record with
                {
                    Certificates = [certificate, .. record.Certificates.TakeWhile(c => c != certificate)],
                    SeenAt = time.GetUtcNow(),
                    Program = hello.Program,
                    Facts = hello.Facts,
                },
                cancellationToken);
        }
        catch (BerthException refusal)
        {
            // Removed meanwhile, or a store that can't be written: the next try may find it otherwise.
            Log.LinkBroke(logger, node.Name, refusal.Message);
            link.Dispose();
            return;
        }

        node.Places = Math.Clamp(
            hello.Places, 0, Math.Min(MostPlaces, Math.Max(1, hello.Facts.Cores) * PlacesOfCore));
        node.Problem = null;
        // The newer one is the node: whatever the older had, the node has ended or will.
        node.Link(new RemoteNode(link, register, time), time.GetElapsedTime(0))?.Link.Dispose();
        if (!register.Has(node))
        {
            // Removed between the two.
            link.Dispose();
            return;
        }

        link.Tell(servers());
        register.Tell(node);
        Log.Ready(logger, node.Name, node.Places, hello.Facts.Cores, hello.Program);
    }

    private async Task EndAsync(NodeEntry node, NodeLink link)
    {
        if (node.Node?.Link != link)
        {
            return;
        }

        if (link.HasLeft)
        {
            Log.Left(logger, node.Name);
        }
        else
        {
            Log.LinkBroke(logger, node.Name, "It is made anew by the node.");
        }

        register.Tell(node);
        try
        {
            await register.ChangeAsync(
                node.Name, record => record with { SeenAt = time.GetUtcNow() }, CancellationToken.None);
        }
        catch (BerthException)
        {
            // Removed meanwhile, or a store that can't be written: the time is for people alone.
            return;
        }
    }
}
