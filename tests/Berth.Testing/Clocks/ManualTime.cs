namespace Berth.Testing.Clocks;

/// <summary>
/// A clock with timers that only a test moves. Timers fire on the thread that advances, in order of their times.
/// </summary>
public sealed class ManualTime : TimeProvider
{
    private readonly Lock gate = new();
    private readonly List<ManualTimer> timers = [];
    private DateTimeOffset now = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);
    private long stamp = 1_000_000;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Timers that are set: what waits for time to pass.</summary>
    public int Waiting
    {
        get
        {
            lock (gate)
            {
                return timers.Count;
            }
        }
    }

    /// <summary>One that stands at the time of now, which certificates made just now are good for.</summary>
    public static ManualTime OfNow()
    {
        ManualTime time = new();
        time.Jump(System.GetUtcNow() - time.GetUtcNow());
        return time;
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (gate)
        {
            return now;
        }
    }

    public override long GetTimestamp()
    {
        lock (gate)
        {
            return stamp;
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ManualTimer timer = new(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    public void Advance(TimeSpan by)
    {
        long end;
        lock (gate)
        {
            end = stamp + by.Ticks;
        }

        while (true)
        {
            ManualTimer? next;
            lock (gate)
            {
                next = timers.Where(timer => timer.Due <= end).MinBy(timer => timer.Due);
                long to = Math.Max(next?.Due ?? end, stamp);
                now += TimeSpan.FromTicks(to - stamp);
                stamp = to;
                if (next is null)
                {
                    return;
                }

                next.Rearm();
            }

            next.Fire();
        }
    }

    /// <summary>Moves the wall clock only, as an operator or a wrong time server does.</summary>
    public void Jump(TimeSpan by)
    {
        lock (gate)
        {
            now += by;
        }
    }

    private sealed class ManualTimer(ManualTime clock, Action fire) : ITimer
    {
        private TimeSpan repeat = Timeout.InfiniteTimeSpan;

        public long Due { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            bool now = false;
            lock (clock.gate)
            {
                clock.timers.Remove(this);
                repeat = period;
                if (dueTime == TimeSpan.Zero)
                {
                    now = true;
                }
                else if (dueTime != Timeout.InfiniteTimeSpan)
                {
                    Due = clock.stamp + dueTime.Ticks;
                    clock.timers.Add(this);
                }
            }

            if (now)
            {
                fire();
            }

            return true;
        }

        public void Rearm()
        {
            if (repeat == Timeout.InfiniteTimeSpan)
            {
                clock.timers.Remove(this);
            }
            else
            {
                Due += repeat.Ticks;
            }
        }

        public void Fire() => fire();

        public void Dispose()
        {
            lock (clock.gate)
            {
                clock.timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
