using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>
/// A time of day that never jumps: the wall clock's when the server started, moved on by the monotonic clock. What is
/// due is kept and compared in it, so that setting the wall clock neither holds runs back nor ages them.
/// </summary>
internal sealed class SteadyClock(TimeProvider time)
{
    private readonly DateTimeOffset origin = time.GetUtcNow();
    private readonly long stamp = time.GetTimestamp();

    public DateTimeOffset Now => origin + time.GetElapsedTime(stamp);

    public RunMoment Moment => new(time.GetUtcNow(), Now);
}
