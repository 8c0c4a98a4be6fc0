using System.Globalization;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>The words in which <c>berth why</c>, events and messages tell what happened.</summary>
internal static class RunSentences
{
    public static string OutputLimit(ByteSize limit) =>
        $"It wrote more than {limit} to standard output and was ended: raise --output-limit.";

    public static string Accepted(Run run) =>
        $"Accepted from {run.Caller}: {run.Spec.Image} ({run.Spec.Digest.Short}), {Size(run.Input.Length)} of input, "
        + $"{Span(run.Spec.Timeout)} for an attempt.";

    public static string Size(long bytes) => ByteSize.FromBytes(bytes).ToString();

    /// <summary>A span of time as people say it: <c>0.8 ms</c>, <c>3.2 s</c>, <c>15 min</c>, <c>24 h</c>.</summary>
    public static string Span(TimeSpan span) => span switch
    {
        { TotalMilliseconds: < 10 } => Number(span.TotalMilliseconds, "0.#") + " ms",
        { TotalSeconds: < 1 } => Number(span.TotalMilliseconds, "0") + " ms",
        { TotalSeconds: < 120 } => Number(span.TotalSeconds, "0.#") + " s",
        { TotalMinutes: < 120 } => Number(span.TotalMinutes, "0.#") + " min",
        _ => Number(span.TotalHours, "0.#") + " h",
    };

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
