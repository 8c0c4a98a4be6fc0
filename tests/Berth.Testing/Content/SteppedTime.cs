namespace Berth.Testing.Content;

/// <summary>
/// A clock that a test moves. The monotonic time follows the wall clock unless the wall clock is jumped.
/// </summary>
public sealed class SteppedTime : TimeProvider
{
    private readonly Lock gate = new();
    private DateTimeOffset now = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private long stamp = 1_000_000;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

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

    public void Advance(TimeSpan by)
    {
        lock (gate)
        {
            now += by;
            stamp += by.Ticks;
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
}
