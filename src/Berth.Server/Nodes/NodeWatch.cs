using Berth.Core.Nodes;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

/// <summary>Looks at the heartbeats of all nodes, tells what changes and ends the links of those that are lost. A
/// pass.</summary>
internal sealed class NodeWatch(NodeRegister register, NodeFleet fleet, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<string, NodeState> told = new(StringComparer.Ordinal);

    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(Period, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                Look();
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    /// <summary>One look.</summary>
    public void Look()
    {
        bool changed = false;
        foreach (NodeEntry entry in register.All.Where(e => !fleet.IsOwn(e)))
        {
            if (entry.Record.ExpiresAt <= time.GetUtcNow())
            {
                // It was not renewed; the handshake of the next link would be refused.
                entry.Node?.Link.Dispose();
            }

            NodeState state = entry.StateAt(time);
            if (told.GetValueOrDefault(entry.Name, NodeState.Joined) == state)
            {
                continue;
            }

            told[entry.Name] = state;
            changed = true;
            if (state == NodeState.Suspect && entry.Node is { } quiet)
            {
                Log.Suspect(logger, entry.Name, time.GetElapsedTime(quiet.Link.Heard));
            }
            else if (state == NodeState.Lost)
            {
                Log.Lost(logger, entry.Name, entry.Node?.Running ?? 0);
                // Whoever waits for something of it is told now.
                entry.Node?.Link.Dispose();
            }
        }

        if (changed)
        {
            register.Changed();
        }
    }
}
