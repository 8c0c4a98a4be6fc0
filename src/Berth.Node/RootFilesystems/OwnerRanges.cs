using System.Globalization;
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
    private const uint RangesPerWindow = 1_000;

    /// <summary>All ids stay below 2^31: many tools take larger ones for negative.</summary>
    private const uint Windows = 30;

    private readonly Lock gate = new();
    private readonly Stack<OwnerRange> free = new();
    private readonly Stack<uint> unused = new();
    private readonly List<OwnerRange> all = [];
    private readonly FileStream window;
    private readonly string initPath;
    private readonly ReadinessPoller poller;
    private readonly uint firstOwner;
    private uint made;

    /// <summary>Takes a window of ranges that no other server on this machine has. Throws BerthException (NodeFault)
    /// when there is none.</summary>
    public OwnerRanges(string initPath, ReadinessPoller poller, NodeOptions options)
    {
        this.initPath = initPath;
        this.poller = poller;
        (window, uint number) = TakeWindow(options);
        firstOwner = options.FirstOwner + (number * RangesPerWindow * OwnerRange.Size);
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

            if (!unused.TryPop(out index))
            {
                if (made == RangesPerWindow)
                {
                    throw new BerthException(
                        ErrorCode.NodeFault,
                        $"All {RangesPerWindow} ranges of user ids are in use by sandboxes: too many run at once.");
                }

                index = made++;
            }
        }

        try
        {
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
        catch
        {
            lock (gate)
            {
                unused.Push(index);
            }

            throw;
        }
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
            window.Dispose();
        }
    }

    /// <summary>The one its instance points to, else the next that is free. The lock is the kernel's and ends with this
    /// process; the file stays, because deleting it could give two servers the same window.</summary>
    private static (FileStream Held, uint Number) TakeWindow(NodeOptions options)
    {
        string folder = Directory.CreateDirectory(options.RuntimeFolder + "/owner-windows").FullName;
        uint preferred = Convert.ToUInt32(options.Instance[^4..], 16);
        for (uint i = 0; i < Windows; i++)
        {
            uint number = (preferred + i) % Windows;
            try
            {
                string path = string.Create(CultureInfo.InvariantCulture, $"{folder}/{number}");
                return (new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None), number);
            }
            catch (IOException)
            {
                // Another server has it.
            }
        }

        throw new BerthException(
            ErrorCode.NodeFault, $"{Windows} servers run on this machine already: there are no user ids for more.");
    }
}
