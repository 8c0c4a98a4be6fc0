namespace Berth.Node.Pools;

/// <summary>How long the last program of one shape of sandbox took, from which the next one's start is told: see
/// <see cref="PatienceFor"/>.</summary>
internal sealed class RunLengths
{
    /// <summary>Half of what a pipe holds by default (pipe(7)): a program with more might wait for its
    /// reader.</summary>
    private const long MostBytes = 32 * 1024;

    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(10);

    /// <summary>A deadline is kept from when the start is heard of: one that is this near must not wait for that.
    /// </summary>
    private static readonly TimeSpan LeastTimeout = 10 * Longest;

    private volatile bool areBrief;

    /// <summary>How long a program's init may wait for its end before it tells that it runs. What runs for longer than
    /// one before it that was brief is heard of that much later; all others at once.</summary>
    /// <param name="timeout">What it has; null for no end.</param>
    public TimeSpan PatienceFor(TimeSpan? timeout) =>
        areBrief && (timeout is null || timeout >= LeastTimeout) ? Longest : TimeSpan.Zero;

    /// <param name="written">Bytes, by the program.</param>
    public void Note(TimeSpan took, long written) => areBrief = took < Longest && written <= MostBytes;
}
