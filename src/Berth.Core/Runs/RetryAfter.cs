using System.Globalization;

namespace Berth.Core.Runs;

/// <summary>The header <c>Retry-After</c> (RFC 9110, section 10.2.3).</summary>
public static class RetryAfter
{
    /// <summary>The wait that it asks for, at most <see cref="RetryPolicy.LongestDelay"/>; null where it is none.
    /// </summary>
    /// <param name="text">Seconds or a date; null where it was not given.</param>
    public static TimeSpan? Read(string? text, DateTimeOffset now)
    {
        text = text?.Trim();
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        if (text.All(char.IsAsciiDigit))
        {
            return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds)
                && seconds < (long)RetryPolicy.LongestDelay.TotalSeconds
                ? TimeSpan.FromSeconds(seconds)
                : RetryPolicy.LongestDelay;
        }

        return DateTimeOffset.TryParseExact(
            text, "r", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset until)
            ? TimeSpan.FromTicks(Math.Clamp((until - now).Ticks, 0, RetryPolicy.LongestDelay.Ticks))
            : null;
    }
}
