using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Init.Protocol;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;
using Berth.Oci.Layers;

namespace Berth.Node.Inner;

/// <summary>What an outer container needs of the engine that made it.</summary>
/// <param name="MakeObjects">For a new id, known to sweeps as living.</param>
/// <param name="WaitReadyAsync">Boots an init and waits for it.</param>
/// <param name="InTimeAsync">Waits for what takes a moment, and no longer.</param>
/// <param name="RemoveAsync">Removes what <paramref name="MakeObjects"/> gave, sooner or later.</param>
internal sealed record InnerHost(
    Func<string, HostObjects> MakeObjects,
    Func<string, ICgroup, HostObjects> Borrow,
    Func<InitChannel, CancellationToken, Task> WaitReadyAsync,
    Func<Task, CancellationToken, Task> InTimeAsync,
    Func<HostObjects, Task> RemoveAsync,
    ReadinessPoller Poller,
    TimeProvider Time);

/// <summary>
/// A container whose init forks sandboxes. They take about a hundredth of what making a container takes, for all that
/// costs much is there: its root, user ids, and cells with control groups and networks, each used by one sandbox after
/// the other. When its init is gone all of them are.
/// </summary>
internal sealed class OuterContainer(
    HostObjects objects, SandboxStreams streams, SandboxSpec spec, string hostName, ImageHandle image, InnerHost host)
{
    /// <summary>Of a cell itself, beside those of its sandbox.</summary>
    private const int CellProcesses = 1;

    private static readonly TimeSpan EmptyingPatience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan EmptyingPause = TimeSpan.FromMilliseconds(2);

    private readonly Lock gate = new();
    private readonly Stack<InnerCell> free = new();
    private readonly SemaphoreSlim making = new(1, 1);
    private int users;
    private DateTimeOffset lastUsed = host.Time.GetUtcNow();

    public bool IsAlive => !objects.Init!.Exited.IsCompleted;

    /// <summary>When its last sandbox went; null while it has some, or some are being made.</summary>
    public DateTimeOffset? IdleSince
    {
        get
        {
            lock (gate)
            {
                return users == 0 ? lastUsed : null;
            }
        }
    }

    /// <summary>Keeps it from being removed until <see cref="Release"/>.</summary>
    public void Hold()
    {
        lock (gate)
        {
            users++;
        }
    }

    public void Release()
    {
        lock (gate)
        {
            users--;
            lastUsed = host.Time.GetUtcNow();
        }
    }

    /// <summary>A sandbox whose init waits for its program; the caller holds this container, and the sandbox releases
    /// it. Throws BerthException (NodeFault) and leaves nothing behind.</summary>
    public async Task<ISandbox> MakeSandboxAsync(CancellationToken cancellationToken)
    {
        InnerCell cell;
        try
        {
            cell = await TakeCellAsync(cancellationToken);
        }
        catch
        {
            Release();
            throw;
        }

        HostObjects inner = host.Borrow(RunId.New(host.Time.GetUtcNow()).Text, cell.Cgroup);
        inner.Owner = objects.Owner;
        SandboxStreams? own = null;
        try
        {
            using (SandboxEnds ends = new())
            {
                own = ends.TakeStreams(host.Poller);
                inner.Channel = ends.TakeChannel(host.Poller);
                await cell.Channel.OrderAsync(PlainFrames.Spawn, ends.Theirs, cancellationToken);
            }

            await host.WaitReadyAsync(inner.Channel, cancellationToken);
            inner.CellHost = cell.Host;
            inner.Init = PidHandle.Open(inner.ReadProcesses().Single(), host.Poller);
            cell.Cgroup.ResetPeak();
            inner.BeginUsage();
            CrashPoints.Reach(CrashPoint.InnerSandboxBooted);
            return new RuncSandbox(
                inner, spec, hostName, host.Time.GetUtcNow(), own, host.Poller, removed => EndAsync(removed, cell));
        }
        catch
        {
            own?.Dispose();
            await EndAsync(inner, cell);
            throw;
        }
    }

    /// <summary>Ends every sandbox that is left.</summary>
    public async Task RemoveAsync()
    {
        await host.RemoveAsync(objects);
        InnerCell[] left;
        lock (gate)
        {
            left = [.. free];
            free.Clear();
        }

        foreach (InnerCell cell in left)
        {
            await host.RemoveAsync(cell.Objects);
        }

        streams.Dispose();
        image.Dispose();
    }

    private async Task<InnerCell> TakeCellAsync(CancellationToken cancellationToken)
    {
        lock (gate)
        {
            if (free.TryPop(out InnerCell? cell))
            {
                return cell;
            }
        }

        await making.WaitAsync(cancellationToken);
        try
        {
            return await MakeCellAsync(cancellationToken);
        }
        finally
        {
            making.Release();
        }
    }

    /// <summary>One at a time: what they take is seldom needed at once.</summary>
    private async Task<InnerCell> MakeCellAsync(CancellationToken cancellationToken)
    {
        HostObjects group = host.MakeObjects(RunId.New(host.Time.GetUtcNow()).Text);
        List<FileDescriptor> files = [];
        try
        {
            SandboxLimits limits = spec.Limits;
            foreach (string file in group.Cgroup.Make(
                new CgroupLimits(limits.Memory, limits.Cpu, ContainerShape.PidsOf(spec) + CellProcesses)))
            {
                files.Add(FileSystems.OpenForWriting(file));
            }

            group.Cgroup.KeepFiles();
            CrashPoints.Reach(CrashPoint.CellGroupsMade);
            using (var ends = SocketPair.Create())
            {
                group.Channel = new InitChannel(ends.Ours.Duplicate(), host.Poller);
                await objects.Channel!.OrderAsync(PlainFrames.Cell, [.. files, ends.Theirs], cancellationToken);
            }

            await host.InTimeAsync(group.Channel.WaitReadyAsync(cancellationToken), cancellationToken);
            group.Init = PidHandle.Open(group.Cgroup.ReadProcesses().Single(), host.Poller);
            return new InnerCell(group);
        }
        catch (Exception error)
        {
            await host.RemoveAsync(group);
            if (error is IOException or UnauthorizedAccessException)
            {
                throw new BerthException(
                    ErrorCode.NodeFault, $"A control group could not be made: {error.Message}", error);
            }

            throw;
        }
        finally
        {
            files.ForEach(f => f.Dispose());
        }
    }

    /// <summary>Files in memory are let go of a moment after the last process, and until then would count against
    /// whoever comes next.</summary>
    private async Task<bool> IsEmptiedAsync(InnerCell cell)
    {
        long harmless = spec.Limits.Memory.Bytes / 8;
        long begun = host.Time.GetTimestamp();
        while (cell.Cgroup.ReadMemory().Bytes > harmless && cell.Cgroup.ReadFilesInMemory().Bytes > harmless)
        {
            if (host.Time.GetElapsedTime(begun) > EmptyingPatience)
            {
                return false;
            }

            await Task.Delay(EmptyingPause, host.Time);
        }

        return true;
    }

    /// <summary>The cell serves another sandbox only when the kernel said that all of this one is gone.</summary>
    private async Task EndAsync(HostObjects inner, InnerCell cell)
    {
        bool ended = await inner.EndAsync();
        inner.Init?.Dispose();
        if (ended && IsAlive && await IsEmptiedAsync(cell))
        {
            lock (gate)
            {
                free.Push(cell);
            }
        }
        else
        {
            await host.RemoveAsync(cell.Objects);
        }

        Release();
    }
}
