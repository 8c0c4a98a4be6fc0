using Berth.Core.Errors;
using Berth.Node.Linux;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// 65,536 host user and group ids that stand for ids 0 to 65,535 of one sandbox, and the user namespace that says
/// so to id-mapped mounts.
/// </summary>
/// <param name="First">Host id of the sandbox's root.</param>
internal sealed record OwnerRange(uint First, UserNamespace Map)
{
    public const uint Size = 65_536;
}

/// <summary>
/// Gives every living sandbox a range of its own, so that per-user kernel limits and signals of one never meet another.
/// A range and its namespace are used again: the most recently returned first.
/// </summary>
internal sealed class OwnerRanges : IDisposable
{
    /// <summary>Servers on one machine take different windows of ranges, chosen by their instance. All ids stay below
    /// 2^31: many tools take larger ones for negative.</summary>
    private const uint RangesPerInstance = 1_000;
    private const uint Windows = 30;

    private readonly Lock gate = new();
    private readonly Stack<OwnerRange> free = new();
    private readonly List<OwnerRange> all = [];
    private readonly string initPath;
    private readonly ReadinessPoller poller;
    private readonly uint firstOwner;
    private uint made;

    public OwnerRanges(string initPath, ReadinessPoller poller, NodeOptions options)
    {
        this.initPath = initPath;
        this.poller = poller;
        uint window = Convert.ToUInt32(options.Instance[^4..], 16) % Windows;
        firstOwner = options.FirstOwner + (window * RangesPerInstance * OwnerRange.Size);
    }

    public async ValueTask<OwnerRange> TakeAsync(CancellationToken cancellationToken)
    {
        uint index;
        lock (gate)
        {
            if (free.TryPop(out OwnerRange? range))
            {
                return range;
            }

            if (made == RangesPerInstance)
            {
                throw new BerthException(
                    ErrorCode.NodeFault,
                    $"All {RangesPerInstance} ranges of user ids are in use by sandboxes: too many run at once.");
            }

            index = made++;
        }

        uint first = firstOwner + (index * OwnerRange.Size);
        IdRange[] map = [new(0, first, OwnerRange.Size)];
        UserNamespace ids = await UserNamespace.CreateAsync(initPath, map, map, poller, cancellationToken);
        var taken = new OwnerRange(first, ids);
        lock (gate)
        {
            all.Add(taken);
        }

        return taken;
    }

    public void Return(OwnerRange range)
    {
        lock (gate)
        {
            free.Push(range);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            all.ForEach(range => range.Map.Dispose());
            all.Clear();
            free.Clear();
        }
    }
}
