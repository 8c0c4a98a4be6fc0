using System.Globalization;
using Berth.Core.Resources;
using Microsoft.Win32.SafeHandles;

namespace Berth.Server.Results;

/// <summary>
/// The results that are kept to answer further calls, and the room for these and for what is still under way: together
/// no more than the operator's <c>result-cache-limit</c>. What was longest not asked for goes first. In memory and in
/// files without names: nothing outlasts the server, whose next start knows no results.
/// </summary>
internal sealed class ResultRoom(string folder, ByteSize limit, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(30);

    /// <summary>Left to the store and the spool, which need the disk more.</summary>
    private static readonly ByteSize LeftFree = ByteSize.GiB(1);

    /// <summary>Each has a descriptor.</summary>
    private const int MaxFiles = 1024;

    /// <summary>Each costs some hundred bytes beside its own.</summary>
    private const int MaxResults = 65_536;

    /// <summary>Of a result beside its bytes.</summary>
    private const int Overhead = 512;

    /// <summary>Of kept results that are in no file, with what each costs beside.</summary>
    private static readonly ByteSize MaxMemory = ByteSize.MiB(64);

    private readonly Lock gate = new();
    private readonly Dictionary<ResultKey, LinkedListNode<Entry>> entries = [];

    /// <summary>The last one asked for first.</summary>
    private readonly LinkedList<Entry> order = new();

    private long taken;
    private long numbers;
    private long memory;
    private int files;

    private sealed record Entry(ResultKey Key, KeptResult Result, long Made, TimeSpan KeepFor);

    /// <summary>Bytes held now, kept ones and those under way.</summary>
    public long Taken => Interlocked.Read(ref taken);

    public int Count
    {
        get
        {
            lock (gate)
            {
                return entries.Count;
            }
        }
    }

    /// <summary>A result with one more hold, which the caller gives up, and its age; null where none is kept.</summary>
    public (KeptResult Result, TimeSpan Age)? Find(ResultKey key)
    {
        lock (gate)
        {
            if (!entries.TryGetValue(key, out LinkedListNode<Entry>? node))
            {
                return null;
            }

            TimeSpan age = time.GetElapsedTime(node.Value.Made);
            if (age >= node.Value.KeepFor || !node.Value.Result.Output.TryHold())
            {
                Drop(node);
                return null;
            }

            order.Remove(node);
            order.AddFirst(node);
            return (node.Value.Result, age);
        }
    }

    /// <summary>Keeps a result in place of what has its key. Takes a hold of its own.</summary>
    public void Keep(ResultKey key, KeptResult result, TimeSpan keepFor)
    {
        lock (gate)
        {
            if (entries.TryGetValue(key, out LinkedListNode<Entry>? old))
            {
                Drop(old);
            }

            if (!result.Output.TryHold())
            {
                return;
            }

            Weigh(result, 1);
            entries[key] = order.AddFirst(new Entry(key, result, time.GetTimestamp(), keepFor));
            while (order.Count > 0 && (IsOverfull))
            {
                Drop(order.Last!);
            }
        }
    }

    /// <summary>Lets go what is older than it may be; returns how many.</summary>
    public int Sweep()
    {
        lock (gate)
        {
            LinkedListNode<Entry>[] old =
            [
                .. entries.Values.Where(n => time.GetElapsedTime(n.Value.Made) >= n.Value.KeepFor),
            ];
            foreach (LinkedListNode<Entry> node in old)
            {
                Drop(node);
            }

            return old.Length;
        }
    }

    /// <summary>Sweeps now and then, until it is stopped.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        using PeriodicTimer timer = new(SweepInterval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                Sweep();
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            while (order.Last is { } last)
            {
                Drop(last);
            }
        }
    }

    /// <summary>Takes room, where need be by letting kept results go; false where that is not enough.</summary>
    public bool TryTake(long bytes)
    {
        if (Interlocked.Add(ref taken, bytes) <= limit.Bytes)
        {
            return true;
        }

        lock (gate)
        {
            while (order.Count > 0 && Taken > limit.Bytes)
            {
                Drop(order.Last!);
            }
        }

        if (Taken <= limit.Bytes)
        {
            return true;
        }

        GiveBack(bytes);
        return false;
    }

    public void GiveBack(long bytes) => Interlocked.Add(ref taken, -bytes);

    /// <summary>A file that nobody else finds. Throws IOException where the disk has no room to spare.</summary>
    public SafeFileHandle NewFile()
    {
        if (new DriveInfo(folder).AvailableFreeSpace < LeftFree.Bytes)
        {
            throw new IOException("The disk has no room to spare.");
        }

        long number = Interlocked.Increment(ref numbers);
        string path = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"result-{number}"));
        SafeFileHandle handle = File.OpenHandle(
            path, FileMode.Create, FileAccess.ReadWrite, FileShare.Delete, FileOptions.Asynchronous);
        File.Delete(path);
        return handle;
    }

    private void Drop(LinkedListNode<Entry> node)
    {
        order.Remove(node);
        entries.Remove(node.Value.Key);
        Weigh(node.Value.Result, -1);
        node.Value.Result.Output.Dispose();
    }

    private bool IsOverfull =>
        files > MaxFiles || entries.Count > MaxResults || memory > MaxMemory.Bytes || Taken > limit.Bytes;

    private void Weigh(KeptResult result, int sign)
    {
        Interlocked.Add(ref taken, sign * Overhead);
        files += result.Output.IsFile ? sign : 0;
        memory += sign * (Overhead + (result.Output.IsFile ? 0 : result.Output.Length));
    }
}
