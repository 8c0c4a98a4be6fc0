namespace Berth.Server.Instances;

/// <summary>The part of a pool that is about the memory that all pools share.</summary>
internal sealed partial class InstancePool
{
    /// <summary>Of an instance that was never measured: enough for a small server, as most are.</summary>
    private const long LargestGuess = 16 * 1024 * 1024;

    private const int GuessedPart = 4;
    private long measured;
    private bool isTried;

    /// <summary>Bytes that one more instance is expected to take.</summary>
    /// <param name="limit">Bytes that it may take.</param>
    public long Expected(long limit) => Volatile.Read(ref measured) is > 0 and var known
        ? known
        : Math.Min(limit / GuessedPart, LargestGuess);

    /// <summary>Asks every instance what it takes.</summary>
    public void Measure()
    {
        Instance[] all;
        lock (gate)
        {
            all = [.. ready];
        }

        long sum = all.Sum(i => i.Measure());
        Volatile.Write(ref measured, all.Length > 0 ? sum / all.Length : measured);
    }

    public PoolMemory Memory()
    {
        lock (gate)
        {
            // Those on other machines have none of this one's memory.
            Instance[] ending = [.. ready.Where(i => i is { IsDraining: true, Charge: not null })];
            int open = ready.Count(i => !i.IsDraining);
            int idle = ready.Count(i => i is { IsDraining: false, Running: 0, Charge: not null });
            int warm = settings.Warm?.At(time.GetUtcNow()).Min ?? 0;
            int kept = IsRouted ? Math.Max(settings.Min, warm) : 0;
            return new PoolMemory(
                Math.Clamp(idle, 0, Math.Max(0, open - kept)), ending.Sum(i => i.Charge!.Bytes),
                ending.Where(i => i.Running > 0).Sum(i => i.Charge!.Bytes), ending.Length, isTried || line.Count > 0);
        }
    }

    /// <summary>One instance makes room for another function's: an idle one, else the one with fewest calls, which ends
    /// with its last.</summary>
    public void GiveUpOne()
    {
        Instance? given;
        lock (gate)
        {
            given = ready.Where(i => i is { IsDraining: false, Charge: not null }).OrderBy(i => i.Running)
                .ThenByDescending(i => i.IsFrozen).ThenBy(i => i.IdleSince).FirstOrDefault();
            if (given is null)
            {
                return;
            }

            given.IsDraining = true;
            given.IsGivenUp = true;
            // What was wanted before would have another one started in its place.
            autoscaler.Rescale(settings);
            if (given.Running > 0)
            {
                return;
            }
        }

        Log.InstanceGivenUp(logger, given.Id, name);
        given.Live.Retire("Its memory was needed for an instance of another function.");
    }
}
