using System.Globalization;

namespace Berth.Core.Functions;

/// <summary>
/// A caller's place in the split of calls, which a cookie keeps. It holds a point and no revision: whoever comes back
/// stays where he was as long as the shares are the same, and follows them when they change, so that the shares stay
/// true and a rollback takes everybody back.
/// </summary>
public static class TrafficPoint
{
    /// <summary>Points there are: a hundredth of a percent each.</summary>
    public const int Count = 10_000;

    public const string Cookie = "berth_point";

    /// <summary>The point of a cookie's value; null where it is none, as anybody may have written it.</summary>
    public static int? Parse(string? text) => text is { Length: > 0 and <= 4 }
        && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int place)
            ? place
            : null;

    public static string Format(int place) => place.ToString(CultureInfo.InvariantCulture);

    /// <summary>As <see cref="TrafficSplit.At"/> takes it.</summary>
    public static double Point(int place) => place / (double)Count;
}
