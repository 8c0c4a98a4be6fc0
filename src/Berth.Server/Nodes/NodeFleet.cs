using System.Collections.Concurrent;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Nodes;
using Berth.Core.Runs;
using Berth.Oci.Images;

namespace Berth.Server.Nodes;

/// <summary>
/// All nodes as one: gives each attempt of a call or task to one of them. What belongs to one machine (containers,
/// instances) is given to the server's own node directly.
/// </summary>
internal sealed class NodeFleet(INode own, NodeRegister register, int ownPlaces, TimeProvider time)
{
    /// <summary>What is under way on the server's own node.</summary>
    private readonly ConcurrentDictionary<IAttempt, string> placed = new();
    private int ownRunning;

    /// <summary>Sandboxes that may run at once on all nodes that take new work.</summary>
    public int Places => register.All.Where(IsOpen).Sum(PlacesOf);

    /// <summary>As <see cref="INode.StartAsync(AttemptSpec, CancellationToken)"/>, on the node that suits it
    /// best.</summary>
    public async Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        if (register.All.Take(2).Count() == 1)
        {
            return await own.StartAsync(spec, cancellationToken);
        }

        string name = NodeChoice.Choose(
            [.. register.All.Select(n => OfferOf(n, spec))], ownOnly: !AttemptOrder.CanSay(spec));
        IAttempt attempt = name != own.Info.Name && register.Get(name).Node is { } other
            ? await other.StartAsync(spec, cancellationToken)
            : await StartOwnAsync(spec, cancellationToken);
        placed[attempt] = name;
        _ = ForgetAsync(attempt);
        return attempt;
    }

    /// <summary>Attempts that a node has now.</summary>
    public int RunningOn(NodeEntry node) => node.Node?.Running ?? (IsOwn(node) ? Volatile.Read(ref ownRunning) : 0);

    public bool IsOwn(NodeEntry node) => node.Name == own.Info.Name;

    public NodeState StateOf(NodeEntry node) => IsOwn(node) ? NodeState.Ready : node.StateAt(time);

    public int PlacesOf(NodeEntry node) => IsOwn(node) ? ownPlaces : node.Places;

    /// <summary>Ends what a node still has, as a fault of the platform: tasks run again elsewhere.</summary>
    public int Move(string node)
    {
        int moved = 0;
        foreach ((IAttempt attempt, string name) in placed)
        {
            if (name == node)
            {
                attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
                moved++;
            }
        }

        return moved;
    }

    /// <summary>Nothing says of itself that it bears a taint. A machine of another kind would refuse images that were
    /// checked for this one's.</summary>
    private bool IsOpen(NodeEntry node) =>
        node.Record is { IsCordoned: false, Taints.Count: 0 } record && StateOf(node) == NodeState.Ready
        && (IsOwn(node) || record.Facts?.Architecture == PlatformChoice.Here.Architecture);

    private NodeOffer OfferOf(NodeEntry node, AttemptSpec spec)
    {
        bool isOwn = IsOwn(node);
        return new NodeOffer(
            node.Name, PlacesOf(node), RunningOn(node), isOwn, IsOpen(node),
            isOwn || (node.Heartbeat?.Images.Contains(spec.Sandbox.Image.Text) ?? false));
    }

    private async Task<IAttempt> StartOwnAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref ownRunning);
        try
        {
            IAttempt attempt = await own.StartAsync(spec, cancellationToken);
            _ = attempt.Completion.ContinueWith(
                _ => Interlocked.Decrement(ref ownRunning), CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            return attempt;
        }
        catch
        {
            Interlocked.Decrement(ref ownRunning);
            throw;
        }
    }

    private async Task ForgetAsync(IAttempt attempt)
    {
        await attempt.Completion;
        placed.TryRemove(attempt, out _);
    }
}
