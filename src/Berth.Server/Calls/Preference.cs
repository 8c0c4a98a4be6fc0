using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Calls;

/// <summary>What the header <c>Prefer</c> asks for (RFC 7240): to be answered before the run ends, perhaps after
/// waiting a while. Preferences that are not known are ignored, as the RFC says.</summary>
internal readonly record struct Preference(bool RespondAsync, TimeSpan Wait)
{
    /// <summary>Longest wait that is honoured; more is cut to this.</summary>
    public static readonly TimeSpan MaxWait = TimeSpan.FromMinutes(10);

    public static Preference Parse(StringValues header)
    {
        bool respondAsync = false;
        TimeSpan wait = TimeSpan.Zero;
        foreach (string? line in header)
        {
            foreach (string part in (line ?? "").Split(',', StringSplitOptions.TrimEntries))
            {
                string preference = part.Split(';', 2)[0].TrimEnd();
                if (preference.Equals("respond-async", StringComparison.OrdinalIgnoreCase))
                {
                    respondAsync = true;
                }
                else if (preference.StartsWith("wait=", StringComparison.OrdinalIgnoreCase)
                    && int.TryParse(
                        preference.AsSpan(5).Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture,
                        out int seconds))
                {
                    wait = TimeSpan.FromSeconds(Math.Min(seconds, (int)MaxWait.TotalSeconds));
                }
            }
        }

        return new Preference(respondAsync, wait);
    }

    /// <summary>For <c>Preference-Applied</c>.</summary>
    public override string ToString() => Wait > TimeSpan.Zero
        ? string.Create(CultureInfo.InvariantCulture, $"respond-async, wait={Wait.TotalSeconds:0}")
        : "respond-async";
}
