using System.Text.RegularExpressions;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Takes out of an output what is another every time: moments, lengths of time, ids, sizes, digests.</summary>
internal static class GuideMask
{
    private static readonly (Regex What, string Mask)[] Masks =
    [
        (new(@"\b01[0-9a-hjkmnp-tv-z]{24}\b"), "RUN"),
        (new(@"\b(?:sha256:)?[0-9a-f]{64}\b"), "DIGEST"),
        (new(@"\bsha256:[0-9a-f]{12}\b"), "DIGEST"),
        (new(@"\b00-[0-9a-f]{32}-[0-9a-f]{16}-0\d\b"), "TRACE"),
        (new(@"\b[0-9a-f]{12}\b"), "ID"),
        (new(@"^(?<key>HOSTNAME=)?[0-9a-z]{12}$", RegexOptions.Multiline), "${key}HOST"),
        (new(@"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"), "MOMENT"),
        (new(@"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "MOMENT"),
        (new(@"\b\d+ (?:second|minute|hour|day)s?\b"), "AGE"),
        (new(@"\b\d+(?:\.\d+)? (?:ms|s|min|h)\b"), "TIME"),
        (new(@"\b\d+(?:\.\d+)? (?:B|KiB|MiB|GiB)\b"), "SIZE"),
        (new(@"\b\d+(?:\.\d+)+\b"), "NUMBER"),
        (new(@"""(?<key>\w+Ms|peakMemoryBytes)""(?<colon>: ?)\d+"), @"""${key}""${colon}NUMBER"),
        (new(
            @"^(?<key>Content-Length|Berth-Cpu-Ms|Berth-Memory-Bytes|Berth-Duration-Ms): \d+", RegexOptions.Multiline),
            "${key}: NUMBER"),
        (new(@"\b\d{10,}\b"), "NUMBER"),
        // What stands ready, and whether one waits for it, is a matter of the moment; a file's size is the package's.
        (new(@"(?<key>Taken up after TIME|The program runs:).*"), "${key}"),
        // What is remembered of the calls fades while the page is read.
        (new(@"(?<key>\d+ aimed at in each; ).*"), "${key}REASON"),
        (new(@"\S+(?<calls> calls at once over TIME, )\S+(?= over TIME)"), "NUMBER${calls}NUMBER"),
        (new(@"^(?<key>RUN +)(?:preparing|ready|removing)(?= +- )", RegexOptions.Multiline), "${key}STATE"),
        (new(@"(?<key>berth_sandboxes\{.*\}) \d+"), "${key} NUMBER"),
        (new(@"^total \d+$", RegexOptions.Multiline), "total NUMBER"),
        (new(@"(?<key> 0 +0 +)\d+(?= Jan )"), "${key}NUMBER"),
        // Columns are as wide as what stands in them.
        (new(@"[ \t\r]+"), " "),
        (new(@" $", RegexOptions.Multiline), ""),
    ];

    public static string Apply(string text) =>
        Masks.Aggregate(text, (masked, mask) => mask.What.Replace(masked, mask.Mask)).Trim('\n', ' ');
}
