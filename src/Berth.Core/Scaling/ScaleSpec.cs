using Berth.Core.Errors;

namespace Berth.Core.Scaling;

/// <summary>Between how many instances a revision is kept, and when it grows and shrinks.</summary>
/// <param name="Min">Kept even when nobody calls, while calls are routed to the revision.</param>
/// <param name="Max">Never more than these.</param>
/// <param name="Target">Percent of an instance's concurrency at which another is wanted, 1 to 100.</param>
/// <param name="IdleExpiry">The last instance goes when nothing was called for this long.</param>
/// <param name="DownDelay">Fewer are kept only when fewer were wanted for this long.</param>
/// <param name="FreezeAfter">An instance without calls is stopped where it stands after this long, until its next call;
/// null for never.</param>
/// <param name="Warm">When more are kept than <paramref name="Min"/>; null for never.</param>
public sealed record ScaleSpec(
    int Min, int Max, int Target, TimeSpan IdleExpiry, TimeSpan DownDelay, TimeSpan? FreezeAfter = null,
    WarmSchedule? Warm = null)
{
    /// <exception cref="BerthException">InvalidRequest, where it keeps more than it allows.</exception>
    public static ScaleSpec Checked(ScaleSpec spec) =>
        spec.Min > spec.Max ? throw TooMany("minInstances", spec.Min, spec.Max)
        : spec.Warm?.Most > spec.Max ? throw TooMany("warm.min", spec.Warm.Most, spec.Max)
        : spec;

    /// <summary>Whether any are ever kept without calls.</summary>
    public bool KeepsSome => Min > 0 || Warm is not null;

    public static ScaleSpec Default { get; } = new(
        0, 20, 70, TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(30), FreezeAfter: TimeSpan.FromSeconds(30));

    private static BerthException TooMany(string member, int kept, int max) => new(
        ErrorCode.InvalidRequest,
        $"{member} = {kept} can't be used with maxInstances = {max}: no more are kept than there may be.");
}
