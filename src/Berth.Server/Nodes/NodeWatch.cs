using Berth.Core.Nodes;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

/// <summary>Looks at the silence of all nodes, tells what changes and ends the links of those that are lost. A
/// pass.</summary>
internal sealed class NodeWatch(NodeRegister register, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(500);

    private ListeningTime listening = ListeningTime.Begin(time.GetElapsedTime(0));

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
        TimeSpan now = time.GetElapsedTime(0);
        listening = listening.Look(now, LivenessRules.Default);
        // What stands ready on the server's own node changes without a heartbeat.
        register.Note(register.Own);
        foreach (NodeEntry entry in register.All.Where(e => !e.IsOwn))
        {
            if (entry.Record.ExpiresAt <= time.GetUtcNow())
            {
                // It was not renewed; the handshake of the next link would be refused.
                entry.Node?.Link.Dispose();
            }

            switch (entry.Judge(now, listening.Since))
            {
                case LivenessChange.BecameSuspect:
                    Log.Suspect(logger, entry.Name, time.GetElapsedTime(entry.Node!.Link.Heard));
                    register.Tell(entry);
                    break;
                case LivenessChange.BecameLost:
                    Log.Lost(logger, entry.Name, entry.Node?.Running ?? 0);
                    // Whoever waits for something of it is told now.
                    entry.Node?.Link.Dispose();
                    register.Tell(entry);
                    break;
            }
        }
    }
}
