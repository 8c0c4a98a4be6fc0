using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Scaling;

namespace Berth.Server.Runs;

/// <summary>
/// The places for sandboxes that run at once. Calls wait in a bounded line and are served by function and caller in
/// turn, so that the flood of one does not keep back another; the dispatcher of tasks is one more whose turn comes. No
/// function has all of the places, however long its calls take.
/// </summary>
/// <param name="knobs">What raises the two limits, as a refusal names it.</param>
public sealed class RunPlaces(int places, int waitingCallsLimit, string knobs)
{
    /// <summary>No token has this name.</summary>
    private const string Dispatcher = "";

    /// <summary>No token's name begins with it.</summary>
    private const char FunctionMark = '\0';

    /// <summary>Told when a call begins to wait.</summary>
    public Action? Crowded { get; set; }

    private readonly Lock gate = new();
    private readonly FairLine<Waiter> line = new(waitingCallsLimit);

    /// <summary>Places by function.</summary>
    private readonly Dictionary<string, int> held = new(StringComparer.Ordinal);
    private int most = MostOf(places);
    private int count = places;
    private int taken;

    public int Places
    {
        get
        {
            lock (gate)
            {
                return count;
            }
        }
    }

    public string Knobs => knobs;

    public int Taken
    {
        get
        {
            lock (gate)
            {
                return taken;
            }
        }
    }

    /// <summary>How many of those taken would have to be free for every call that waits to have one; 0 while there
    /// are free ones.</summary>
    public int Missing
    {
        get
        {
            lock (gate)
            {
                return taken < count ? 0 : line.Count + taken - count;
            }
        }
    }

    /// <summary>How many are taken beyond those that there are.</summary>
    public int Beyond
    {
        get
        {
            lock (gate)
            {
                return Math.Max(0, taken - count);
            }
        }
    }

    public int WaitingCalls
    {
        get
        {
            lock (gate)
            {
                return line.Count;
            }
        }
    }

    /// <summary>What one function may have of so many places: of four and more, an eighth and at least one is left to
    /// others.</summary>
    public static int MostOf(int places) => places < 4 ? places : places - Math.Max(1, places / 8);

    /// <summary>Waits for a place as a call. Throws <c>QueueFull</c> when too many wait already, also later: where a
    /// caller with fewer calls waiting comes to a full line, the newest of who has most leaves it.</summary>
    /// <param name="function">Whose call it is; null for a call by image, whose caller has the turn alone.</param>
    public Task TakeForCallAsync(string? function, string caller, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Waiter waiter = new(function);
        FairLine<Waiter>.Place? place;
        lock (gate)
        {
            if (TryTake(function))
            {
                return Task.CompletedTask;
            }

            place = line.Add(GroupOf(function, caller), caller, waiter, out Waiter? yielded);
            if (place is null)
            {
                throw Full();
            }

            yielded?.Turn.TrySetException(Full());
        }

        Crowded?.Invoke();
        return WaitAsync(waiter.Turn, place, cancellationToken);
    }

    /// <summary>Waits for a place as the dispatcher, which no limit keeps out.</summary>
    public Task TakeForTaskAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Waiter waiter = new(Function: null);
        FairLine<Waiter>.Place place;
        lock (gate)
        {
            if (TryTake(function: null))
            {
                return Task.CompletedTask;
            }

            place = line.AddUncounted(Dispatcher, waiter);
        }

        return WaitAsync(waiter.Turn, place, cancellationToken);
    }

    /// <summary>Takes a place that there is not yet: something will leave one for it.</summary>
    public void TakeBeyond()
    {
        lock (gate)
        {
            Enter(function: null);
        }
    }

    /// <summary>Takes up to <paramref name="most"/> free places that nobody waits for; returns how many.</summary>
    public int TakeFree(int most)
    {
        lock (gate)
        {
            int free = line.IsEmpty ? Math.Clamp(count - taken, 0, most) : 0;
            taken += free;
            return free;
        }
    }

    /// <param name="function">As when it was taken.</param>
    public void Release(string? function = null)
    {
        lock (gate)
        {
            Leave(function);
            Admit();
        }
    }

    /// <summary>There are more of them from now on, or fewer: those taken are kept until they are released.</summary>
    public void Resize(int places)
    {
        lock (gate)
        {
            count = places;
            most = MostOf(places);
            Admit();
        }
    }

    /// <summary>In one go, or a newcomer could take what is free before who waits.</summary>
    private void Admit()
    {
        while (taken < count && line.TryTake(MayEnter, out Waiter? next))
        {
            Enter(next!.Function);
            if (!next.Turn.TrySetResult())
            {
                Leave(next.Function);
            }
        }
    }

    /// <summary>Where a place is free, all who wait are of functions that have all they may.</summary>
    private bool TryTake(string? function)
    {
        bool free = taken < count && (function is null || held.GetValueOrDefault(function) < most);
        if (free)
        {
            Enter(function);
        }

        return free;
    }

    private void Enter(string? function)
    {
        taken++;
        if (function is not null)
        {
            held[function] = held.GetValueOrDefault(function) + 1;
        }
    }

    private void Leave(string? function)
    {
        taken--;
        if (function is not null && --held[function] is var left)
        {
            if (left == 0)
            {
                held.Remove(function);
            }
        }
    }

    private bool MayEnter(string group) =>
        group is not [FunctionMark, ..] || held.GetValueOrDefault(group[1..]) < most;

    private static string GroupOf(string? function, string caller) =>
        function is null ? caller : FunctionMark + function;

    private async Task WaitAsync(
        TaskCompletionSource turn, FairLine<Waiter>.Place place, CancellationToken cancellationToken)
    {
        await using CancellationTokenRegistration registration = cancellationToken.Register(
            () => Leave(turn, place, cancellationToken));
        await turn.Task;
    }

    private void Leave(
        TaskCompletionSource turn, FairLine<Waiter>.Place place, CancellationToken cancellationToken)
    {
        lock (gate)
        {
            line.Remove(place);
            turn.TrySetCanceled(cancellationToken);
        }
    }

    private BerthException Full() => new(
        ErrorCode.QueueFull,
        string.Create(
            CultureInfo.InvariantCulture,
            $"{line.Count:N0} calls wait for one of {count:N0} places already: send it again later, or raise "
            + $"{knobs}."))
    {
        RetryAfter = TimeSpan.FromSeconds(1),
    };

    private sealed record Waiter(string? Function)
    {
        public TaskCompletionSource Turn { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
