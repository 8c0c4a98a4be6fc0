using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Node.Engines;
using Berth.Node.Pools;

namespace Berth.Node.Lanes;

/// <summary>A sandbox with places for calls, and its free lanes: there are as many lanes as calls were ever in it at
/// once. Touched under the pool's lock, but for the kernel's counters.</summary>
internal sealed class WarmSandbox
{
    private readonly int places;
    private readonly TimeSpan born;
    private readonly Stack<ILane> free = new();
    private long served;
    private long knownKills;
    private bool isReplaced;

    /// <param name="now">On the pool's clock.</param>
    public WarmSandbox(TakenSandbox taken, int places, TimeSpan now)
    {
        Taken = taken;
        this.places = places;
        born = now;
        IdleSince = now;
    }

    public TakenSandbox Taken { get; }

    public ISandbox Sandbox => Taken.Sandbox;

    public int Running { get; private set; }

    /// <summary>Since when it has no call, on the pool's clock.</summary>
    public TimeSpan IdleSince { get; private set; }

    /// <summary>Whether its shelf has it among those with room.</summary>
    public bool IsOffered { get; set; }

    public bool TakesCalls => !isReplaced && Running < places && Sandbox.IsAlive;

    /// <summary>It gets no more calls, and has none.</summary>
    public bool IsDone => isReplaced && Running == 0;

    /// <summary>Processes that the kernel had ended at the memory limit when that was last looked at.</summary>
    public long KnownKills => Interlocked.Read(ref knownKills);

    public long ReadKills()
    {
        long kills = Sandbox.ReadUsage().OutOfMemoryKills;
        Interlocked.Exchange(ref knownKills, kills);
        return kills;
    }

    /// <summary>A place is taken. Null where its lane is still to be opened.</summary>
    public ILane? Enter()
    {
        Running++;
        return free.TryPop(out ILane? lane) ? lane : null;
    }

    /// <summary>A place that no call came to.</summary>
    public void Leave(ILane? lane, bool isSound, TimeSpan now)
    {
        Running--;
        IdleSince = now;
        isReplaced |= !isSound;
        if (lane is not null)
        {
            free.Push(lane);
        }
    }

    /// <summary>A call is over.</summary>
    public void Leave(LaneSandbox call, TimeSpan now)
    {
        served++;
        ByteSize? files = Running == 1 && served % ReusePolicy.MeasureEvery == 0 ? ReadFiles() : null;
        ReuseState state = new(served, now - born, call.EndedWell, files);
        Leave(call.Lane, call.Lane.IsAlive && !ReusePolicy.IsToBeReplaced(state, Sandbox.Spec.Limits), now);
    }

    /// <summary>It goes with its last call.</summary>
    public void Replace() => isReplaced = true;

    private ByteSize? ReadFiles()
    {
        try
        {
            return Sandbox.ReadFilesInMemory();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
