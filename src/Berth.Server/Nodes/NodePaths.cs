namespace Berth.Server.Nodes;

/// <summary>The way to one node, whichever link it has: what outlasts a link finds the next one here.</summary>
internal sealed class NodePaths(string name, NodeRegister register, TimeProvider time)
{
    /// <summary>Where a stream broke and its link did not, it is tried again after this.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    public string Name => name;

    public TimeProvider Time => time;

    /// <summary>Null where there is none now, or it is too old for containers.</summary>
    public NodeLink? Link() =>
        register.Find(name)?.Node?.Link is { Closed.IsCancellationRequested: false, HasContainers: true } link
            ? link
            : null;

    /// <summary>Waits for a link.</summary>
    /// <param name="last">The one that was used before; null for none.</param>
    /// <returns>Null where there is no such node any more.</returns>
    public async Task<NodeLink?> NextAsync(NodeLink? last, CancellationToken cancellationToken)
    {
        while (register.Find(name) is not null)
        {
            Task changed = register.LinksChanged;
            if (Link() is { } link)
            {
                if (link != last)
                {
                    return link;
                }

                // It is there, and its stream was not served: not at once again.
                last = null;
                await Task.Delay(Pause, time, cancellationToken);
                continue;
            }

            await changed.WaitAsync(cancellationToken);
        }

        return null;
    }
}
