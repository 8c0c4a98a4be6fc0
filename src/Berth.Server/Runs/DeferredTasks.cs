using System.Collections.Concurrent;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>
/// Tasks that no node took: they wait in the store like others, and here it is known what they were told and what wakes
/// them. Nothing is lost with it: what is not woken is looked at again after a while.
/// </summary>
/// <param name="poke">Has the dispatcher look.</param>
internal sealed class DeferredTasks(RunRooms rooms, Action poke)
{
    /// <summary>Beyond it nobody is woken.</summary>
    private const int Most = 10_000;

    /// <summary>What other servers have under way they alone can end: of what this one found no room for the next try
    /// is theirs.</summary>
    private static readonly TimeSpan Courtesy = TimeSpan.FromMilliseconds(250);

    private readonly ConcurrentDictionary<RunId, Entry> entries = new();

    /// <summary>When those are due again for which something may be ended.</summary>
    private readonly ConcurrentDictionary<long, RunId> pressing = new();

    /// <summary>What it was told last; null where it was told nothing.</summary>
    public string? Told(RunId id) => entries.GetValueOrDefault(id)?.Told;

    /// <summary>Keeps one, in place of what was kept of it.</summary>
    /// <param name="deferred">As it is in the store now.</param>
    /// <param name="told">Why it waits.</param>
    public void Keep(Run deferred, string told)
    {
        Forget(deferred.Id);
        if (entries.Count >= Most || rooms.Fleet is not { } fleet)
        {
            return;
        }

        Entry entry = new(told, Key(deferred.ReadyAt));
        entries[deferred.Id] = entry;
        if (!RunPriority.GivesWay(deferred.Spec.Priority))
        {
            pressing[entry.Due] = deferred.Id;
        }

        entry.Watch = fleet.Watch(deferred, () => _ = WakeAsync(deferred, entry));
    }

    public void Forget(RunId id)
    {
        if (entries.TryRemove(id, out Entry? entry))
        {
            entry.Watch?.Dispose();
            pressing.TryRemove(KeyValuePair.Create(entry.Due, id));
        }
    }

    /// <summary>From when on this server looks at what is due then.</summary>
    public DateTimeOffset LookAt(DateTimeOffset due) =>
        rooms.Peers is not null && pressing.ContainsKey(Key(due)) ? due + Courtesy : due;

    /// <summary>Stores don't keep every digit.</summary>
    private static long Key(DateTimeOffset at) => at.ToUnixTimeMilliseconds();

    private async Task WakeAsync(Run deferred, Entry entry)
    {
        try
        {
            // Refused where it was claimed, cancelled or has ended meanwhile.
            await rooms.Store.SaveAsync(RunSteps.Wake(deferred, rooms.Clock.Moment), CancellationToken.None);
        }
        catch (Exception fault)
        {
            // It is looked at all the same, only later.
            Log.NotWoken(rooms.Logger, deferred.Id, fault);
            return;
        }

        // Its words are kept: where it is too late again, there is nothing new to tell.
        entry.Watch = null;
        poke();
    }

    /// <param name="due">When it is looked at again.</param>
    private sealed class Entry(string told, long due)
    {
        public long Due => due;

        public string Told => told;

        public IDisposable? Watch { get; set; }
    }
}
