using Berth.Api.Nodes;
using Berth.Core.Runs;

namespace Berth.Node.Links;

/// <summary>
/// The room that containers have on this machine. It is a container's until its program has ended and, where its server
/// may start it again, for a while after that: the next start of the same files takes it over, so that it is neither
/// others' meanwhile nor counted twice. Thread-safe.
/// </summary>
internal sealed class KeptPlaces(TimeProvider time) : IDisposable
{
    /// <summary>None is kept for longer after its program's end, whatever its server says.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(5);

    private readonly Lock gate = new();

    /// <summary>The newest of each container, by its writable layer.</summary>
    private readonly Dictionary<string, Kept> places = new(StringComparer.Ordinal);

    /// <summary>Keeps the room of a program that was started.</summary>
    public void Add(string server, IAttempt attempt, IDisposable place)
    {
        Kept kept = new(server, attempt, place);
        lock (gate)
        {
            places[kept.Layer] = kept;
        }

        _ = FollowAsync(kept);
    }

    /// <summary>The room that the container's last program left; null where there is none of that size.</summary>
    public IDisposable? TakeOver(string server, AttemptSpec next)
    {
        lock (gate)
        {
            return places.TryGetValue(next.Extras?.Layer ?? next.Id, out Kept? last) && last.Server == server
                && last.Attempt.Completion.IsCompleted && last.Spec.Sandbox.Limits.Memory == next.Sandbox.Limits.Memory
                ? Leave(last)
                : null;
        }
    }

    /// <summary>No start comes for what the attempt had. Nothing happens where that is over already.</summary>
    public void GiveBack(string server, string attempt) =>
        GiveBack(p => p.Server == server && p.Spec.Id == attempt);

    /// <summary>The same for what a container had, by its writable layer.</summary>
    public void GiveBackLayer(string server, string layer) => GiveBack(p => p.Server == server && p.Layer == layer);

    private void GiveBack(Func<Kept, bool> which)
    {
        Kept? kept;
        lock (gate)
        {
            kept = places.Values.FirstOrDefault(which);
        }

        if (kept?.Attempt.Completion.IsCompleted == true)
        {
            GiveBack(kept);
        }
    }

    public void Dispose()
    {
        Kept[] all;
        lock (gate)
        {
            all = [.. places.Values];
        }

        Array.ForEach(all, GiveBack);
    }

    private async Task FollowAsync(Kept kept)
    {
        AttemptReport report = await kept.Attempt.Completion;
        TimeSpan pause = report.Reason == EndReason.Canceled ? TimeSpan.Zero : kept.Spec.KeepRoom;
        if (pause <= TimeSpan.Zero)
        {
            GiveBack(kept);
            return;
        }

        lock (gate)
        {
            kept.Wait(time.CreateTimer(
                _ => GiveBack(kept), null, pause < Longest ? pause : Longest, Timeout.InfiniteTimeSpan));
        }
    }

    private void GiveBack(Kept kept)
    {
        IDisposable? place;
        lock (gate)
        {
            place = Leave(kept);
        }

        place?.Dispose();
    }

    /// <summary>The lock is held by who calls.</summary>
    private IDisposable? Leave(Kept kept)
    {
        if (places.GetValueOrDefault(kept.Layer) == kept)
        {
            places.Remove(kept.Layer);
        }

        return kept.Leave();
    }

    private sealed class Kept(string server, IAttempt attempt, IDisposable place)
    {
        private IDisposable? place = place;
        private ITimer? end;

        public string Server => server;

        public IAttempt Attempt => attempt;

        public AttemptSpec Spec => attempt.Spec;

        public string Layer => Spec.Extras?.Layer ?? Spec.Id;

        /// <summary>Its program has ended.</summary>
        /// <param name="limit">Of the wait for the next start.</param>
        public void Wait(ITimer limit)
        {
            end = limit;
            if (place is null)
            {
                limit.Dispose();
            }
        }

        /// <summary>Null the second time.</summary>
        public IDisposable? Leave()
        {
            end?.Dispose();
            IDisposable? had = place;
            place = null;
            return had;
        }
    }
}
