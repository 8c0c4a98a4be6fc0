using System.Globalization;
using Berth.Core.Resources;

namespace Berth.Commands.Output;

/// <summary>Times and sizes as people read them.</summary>
internal static class Wording
{
    /// <summary>A noun whose plural has an s.</summary>
    public static string Count(int number, string noun) => number == 1 ? $"1 {noun}" : $"{number} {noun}s";

    public static string Age(DateTimeOffset? at, DateTimeOffset now) => at is null ? "" : Span(now - at.Value) + " ago";

    /// <summary>One unit is enough to tell how long ago something was.</summary>
    public static string Span(TimeSpan span) => span switch
    {
        { TotalSeconds: < 1 } => "1 second",
        { TotalSeconds: < 120 } => Count((int)span.TotalSeconds, "second"),
        { TotalMinutes: < 120 } => Count((int)span.TotalMinutes, "minute"),
        { TotalHours: < 48 } => Count((int)span.TotalHours, "hour"),
        _ => Count((int)span.TotalDays, "day"),
    };

    /// <summary>A measured time, with as many digits as mean something.</summary>
    public static string Milliseconds(double? ms) => ms switch
    {
        null => "",
        < 10 => string.Create(CultureInfo.InvariantCulture, $"{ms:0.0} ms"),
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{ms:0} ms"),
        < 60_000 => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000:0.00} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(long)(ms / 60_000)} min {ms / 1000 % 60:0} s"),
    };

    public static string Bytes(long? bytes) => bytes is null ? "" : ByteSize.FromBytes(bytes.Value).ToString();

    public static string Time(DateTimeOffset at) =>
        at.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
