namespace Berth.Core.Runs;

/// <summary>
/// Decides whether an ended attempt is followed by another and when: full jitter over an exponentially growing window
/// (delay = random × min(cap, base × 2^(n−1))), so that many runs failed by one cause do not come back together.
/// </summary>
/// <param name="MaxAttempts">All attempts counted, the first included; at least 1.</param>
/// <param name="OnProgramFailure">Whether the program's own failure (exit code, signal, memory) is retried too.</param>
public sealed record RetryPolicy(int MaxAttempts, bool OnProgramFailure)
{
    public static RetryPolicy Default { get; } = new(MaxAttempts: 4, OnProgramFailure: false);

    public static TimeSpan BaseDelay { get; } = TimeSpan.FromMilliseconds(200);

    public static TimeSpan MaxDelay { get; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The delay before the next attempt, or null when there is none. <paramref name="attempt"/> is the number of the
    /// one that ended (from 1); <paramref name="random"/> is uniform in [0, 1).
    /// </summary>
    public TimeSpan? NextDelay(int attempt, EndReason reason, double random)
    {
        bool retryable = reason switch
        {
            EndReason.PlatformFault => true,
            EndReason.ExitCode or EndReason.Signal or EndReason.OutOfMemory or EndReason.TimedOut => OnProgramFailure,
            _ => false,
        };
        if (!retryable || attempt >= MaxAttempts)
        {
            return null;
        }

        double window = Math.Min(
            MaxDelay.TotalSeconds, BaseDelay.TotalSeconds * Math.Pow(2, Math.Min(attempt - 1, 30)));
        return TimeSpan.FromSeconds(window * random);
    }
}
