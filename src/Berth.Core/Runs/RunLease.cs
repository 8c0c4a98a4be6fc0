namespace Berth.Core.Runs;

/// <summary>For how long a claim holds without being renewed.</summary>
/// <param name="Length">From the moment at which the renewal was asked for.</param>
/// <param name="RenewEvery">How often the holder asks; several times within the length, so that one lost message ends
/// nothing.</param>
/// <param name="Margin">By how much earlier than the length the holder stops, and by how much later the others may
/// begin: two clocks run at rates that differ a little, and an end takes a while.</param>
public sealed record LeaseRules(TimeSpan Length, TimeSpan RenewEvery, TimeSpan Margin)
{
    public static LeaseRules Default { get; } =
        new(TimeSpan.FromSeconds(8), TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(1));
}

/// <summary>
/// The bound in time of a claim; the generation is its guard. Holder and judge each look at a steady clock of their own
/// and never compare the two: the holder counts from when it *asked* for the renewal that was granted, the judge from
/// when it *granted* it, which is never earlier. So the holder has always stopped before another may begin.
/// </summary>
/// <param name="Generation">Of the claim.</param>
/// <param name="From">By the clock of who looks: asked at, or granted at.</param>
public readonly record struct RunLease(int Generation, TimeSpan From)
{
    /// <summary>Whether the holder must have ended its work, as the holder sees it.</summary>
    public bool MustStop(TimeSpan now, LeaseRules rules) => now - From >= rules.Length - rules.Margin;

    /// <summary>Whether the holder should ask for more.</summary>
    public bool IsDue(TimeSpan now, LeaseRules rules) => now - From >= rules.RenewEvery;

    /// <summary>Whether another may take the run over, as the judge sees it.</summary>
    public bool MayBeTaken(TimeSpan now, LeaseRules rules) => now - From >= rules.Length + rules.Margin;

    /// <summary>A renewal of this claim; null where it is another one's by now.</summary>
    public RunLease? Renew(int generation, TimeSpan now) =>
        generation == Generation ? this with { From = now > From ? now : From } : null;
}
