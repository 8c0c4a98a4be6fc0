using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Berth.Core.Runs;

/// <summary>Which of a program's own ends are followed by another attempt, in words: <c>exit</c> or one code
/// (<c>exit=75</c>), <c>signal</c>, <c>memory</c>, <c>timeout</c> of programs; <c>timeout</c>, <c>no-answer</c>,
/// <c>4xx</c>, <c>5xx</c> or one status (<c>503</c>) of those that answer over HTTP; <c>none</c> of either. Faults of
/// the platform are no program's end: they always are.</summary>
public sealed record RetryRules
{
    private const string None = "none";
    private const string ExitPrefix = "exit=";
    private const int MaxWords = 32;

    private static readonly string[] OfPrograms = ["exit", "signal", "memory", "timeout"];
    private static readonly string[] OfServices = ["no-answer", "timeout", "4xx", "5xx"];

    private RetryRules(string text) => Text = text;

    /// <summary>The words, each once, with commas between.</summary>
    public string Text { get; }

    private string[] Words => Text.Split(',');

    /// <param name="service">Whether the program answers over HTTP, and so ends otherwise.</param>
    public static bool TryParse(string text, bool service, [NotNullWhen(true)] out RetryRules? rules)
    {
        string[] words =
        [
            .. text.Split(',', StringSplitOptions.TrimEntries).Distinct().Order(StringComparer.Ordinal),
        ];
        bool valid = words.Length <= MaxWords
            && words.All(word => service ? IsOfService(word) : IsOfProgram(word))
            && (words.Length == 1 || !words.Contains(None));
        rules = valid ? new RetryRules(string.Join(',', words)) : null;
        return valid;
    }

    /// <summary>Rules that were kept.</summary>
    public static RetryRules Restore(string text) => new(text);

    /// <summary>What is understood, for messages.</summary>
    public static string Choices(bool service) => service
        ? string.Join(", ", OfServices) + ", a status such as 503, or none"
        : string.Join(", ", OfPrograms) + ", a code such as exit=75, or none";

    public bool Match(RunEnd end) => Words.Any(word => Match(word, end));

    private static bool Match(string word, RunEnd end) => end.Reason switch
    {
        EndReason.ExitCode => word == "exit" || Number(word, ExitPrefix) == end.ExitCode,
        EndReason.Signal => word == "signal",
        EndReason.OutOfMemory => word == "memory",
        EndReason.TimedOut => word == "timeout",
        EndReason.NoAnswer => word == "no-answer",
        EndReason.BadStatus => end.Answer is { } answer
            && (Number(word, "") == answer.Status || (word.EndsWith("xx", StringComparison.Ordinal)
                && word[0] - '0' == answer.Status / 100)),
        _ => false,
    };

    private static bool IsOfProgram(string word) =>
        word == None || OfPrograms.Contains(word) || Number(word, ExitPrefix) is >= 1 and <= 255;

    private static bool IsOfService(string word) =>
        word == None || OfServices.Contains(word) || Number(word, "") is >= 400 and <= 599;

    private static int? Number(string word, string prefix) =>
        word.StartsWith(prefix, StringComparison.Ordinal)
        && int.TryParse(word.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : null;
}
