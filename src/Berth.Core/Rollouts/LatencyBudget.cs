using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Core.Rollouts;

/// <summary>How long 95 of 100 calls of a new revision may take at most: a time, or a multiple of what the revisions
/// before it take.</summary>
/// <param name="Time">Null where it is a multiple.</param>
/// <param name="Factor">1 to 100; null where it is a time.</param>
public sealed record LatencyBudget(TimeSpan? Time, decimal? Factor)
{
    private const decimal MostFactor = 100;
    private static readonly TimeSpan LeastTime = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan MostTime = TimeSpan.FromHours(1);

    /// <summary>Reads <c>200ms</c> or <c>1.2x</c>.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static LatencyBudget Parse(string text)
    {
        if (text.EndsWith('x') && decimal.TryParse(
            text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
            out decimal factor) && factor is >= 1 and <= MostFactor)
        {
            return new LatencyBudget(null, factor);
        }

        return Duration.TryParse(text, out TimeSpan time) && time >= LeastTime && time <= MostTime
            ? new LatencyBudget(time, null)
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{(text.Length > 32 ? text[..32] + "…" : text)}' is no latency budget: write a time of 1ms to 1h, "
                + $"for instance 200ms, or a multiple of what the old revision takes, 1x to {MostFactor}x, for "
                + "instance 1.2x.");
    }

    /// <param name="old">p95 of the revisions before; null where it is not known.</param>
    /// <returns>Null where the budget can't be told.</returns>
    public TimeSpan? Limit(TimeSpan? old) => Time ?? old * (double?)Factor;

    /// <summary>The form that <see cref="Parse"/> reads.</summary>
    public override string ToString() => Time is { } time
        ? Duration.Format(time)
        : string.Create(CultureInfo.InvariantCulture, $"{Factor:0.####}x");
}
