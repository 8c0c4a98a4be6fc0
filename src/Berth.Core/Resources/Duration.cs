using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Core.Resources;

/// <summary>
/// Lengths of time as people write them: <c>500ms</c>, <c>60s</c>, <c>5m</c>, <c>1.5h</c>, <c>7d</c>, or several units
/// in falling order such as <c>1h30m</c>. A number without a unit is refused: nobody can know what it meant.
/// </summary>
public static class Duration
{
    public static TimeSpan Parse(string value) => TryParse(value, out TimeSpan duration)
        ? duration
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{(value is { Length: > 64 } ? value[..64] + "…" : value)}' is not a length of time: write a number and "
            + "a unit, for instance 500ms, 60s, 5m, 1h30m or 7d.");

    public static bool TryParse([NotNullWhen(true)] string? value, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        if (string.IsNullOrEmpty(value) || value.Length > 32)
        {
            return false;
        }

        ReadOnlySpan<char> rest = value;
        decimal milliseconds = 0;
        decimal lastUnit = decimal.MaxValue;
        while (!rest.IsEmpty)
        {
            int digits = rest.IndexOfAnyExcept("0123456789.");
            if (digits <= 0 || !decimal.TryParse(
                rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal amount))
            {
                return false;
            }

            rest = rest[digits..];
            int letters = rest.IndexOfAny("0123456789.");
            ReadOnlySpan<char> name = letters < 0 ? rest : rest[..letters];
            decimal unit = UnitOf(name);
            // 36,500 days: beyond any use, and far from where TimeSpan or a timer overflows.
            if (unit <= 0 || unit >= lastUnit || amount > 36_500m * 86_400_000m / unit)
            {
                return false;
            }

            milliseconds += amount * unit;
            lastUnit = unit;
            rest = rest[name.Length..];
        }

        duration = TimeSpan.FromTicks((long)(milliseconds * TimeSpan.TicksPerMillisecond));
        return true;
    }

    /// <summary>The shortest exact form that <see cref="TryParse"/> reads back, down to milliseconds.</summary>
    public static string Format(TimeSpan duration)
    {
        long milliseconds = (long)duration.TotalMilliseconds;
        ReadOnlySpan<(string Name, long Length)> units =
            [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
        foreach ((string name, long length) in units)
        {
            if (milliseconds >= length && milliseconds % length == 0)
            {
                return $"{milliseconds / length}{name}";
            }
        }

        return milliseconds == 0 ? "0s" : $"{milliseconds}ms";
    }

    private static decimal UnitOf(ReadOnlySpan<char> name) => name switch
    {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
}
