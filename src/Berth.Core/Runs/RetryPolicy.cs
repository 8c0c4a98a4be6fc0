namespace Berth.Core.Runs;

/// <summary>
/// Decides whether an ended attempt is followed by another and when: full jitter over an exponentially growing window
/// (delay = random × min(cap, base × 2^(n−1))), so that many runs failed by one cause do not come back together.
/// </summary>
/// <param name="MaxAttempts">All attempts counted, the first included; at least 1.</param>
/// <param name="OnProgramFailure">Whether the program's own failure (exit code, signal, memory, time) is retried too.
/// </param>
public sealed record RetryPolicy(int MaxAttempts, bool OnProgramFailure)
{
    public static TimeSpan UsualBaseDelay { get; } = TimeSpan.FromMilliseconds(200);

    public static TimeSpan UsualMaxDelay { get; } = TimeSpan.FromSeconds(30);

    /// <summary>Of <see cref="MaxDelay"/>, and of what a program can ask for (<c>Retry-After</c>); with both together,
    /// nothing waits longer than twice this.</summary>
    public static TimeSpan LongestDelay { get; } = TimeSpan.FromHours(1);

    /// <summary>Below the times that it is made from: statics are initialised in the order of the text.</summary>
    public static RetryPolicy Default { get; } = new(MaxAttempts: 4, OnProgramFailure: false);

    /// <summary>Of the first window.</summary>
    public TimeSpan BaseDelay { get; init; } = UsualBaseDelay;

    /// <summary>Of the longest window; at most <see cref="LongestDelay"/>.</summary>
    public TimeSpan MaxDelay { get; init; } = UsualMaxDelay;

    /// <summary>Decides for the program's own ends, in place of <see cref="OnProgramFailure"/> and of what is usual for
    /// answers over HTTP; null for those.</summary>
    public RetryRules? On { get; init; }

    /// <summary>Whether such an end may be followed by another attempt.</summary>
    public bool Retries(RunEnd end) => end.Reason switch
    {
        EndReason.PlatformFault => true,
        _ when On is not null => On.Match(end),
        EndReason.NoAnswer => true,
        EndReason.BadStatus => end.Answer is { IsPassing: true },
        EndReason.ExitCode or EndReason.Signal or EndReason.OutOfMemory or EndReason.TimedOut => OnProgramFailure,
        _ => false,
    };

    /// <summary>
    /// The delay before the next attempt, or null when there is none: what the program asked for, and the jitter on
    /// top, so that those told the same do not come back together. <paramref name="attempt"/> is the number of the one
    /// that ended (from 1); <paramref name="random"/> is uniform in [0, 1).
    /// </summary>
    public TimeSpan? NextDelay(int attempt, RunEnd end, double random)
    {
        if (!Retries(end) || attempt >= MaxAttempts)
        {
            return null;
        }

        double window = Math.Min(
            MaxDelay.TotalSeconds, BaseDelay.TotalSeconds * Math.Pow(2, Math.Min(attempt - 1, 30)));
        TimeSpan told = end.RetryAfter ?? TimeSpan.Zero;
        return (told < LongestDelay ? told : LongestDelay) + TimeSpan.FromSeconds(window * random);
    }
}
