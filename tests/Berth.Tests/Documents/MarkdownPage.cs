using System.Text.RegularExpressions;
using Berth.Tests.Gates;

namespace Berth.Tests.Documents;

/// <summary>A page of documentation: its code, its links and its headings.</summary>
/// <param name="Path">Relative to the root of the repository.</param>
internal sealed partial record MarkdownPage(string Path, string Text)
{
    /// <summary>Every page that a reader can come to.</summary>
    public static IReadOnlyList<MarkdownPage> All { get; } =
        [.. Directory.EnumerateFiles(Repository.Root, "*.md")
            .Concat(Folder("docs"))
            .Concat(Folder("samples"))
            .Select(f => new MarkdownPage(System.IO.Path.GetRelativePath(Repository.Root, f), File.ReadAllText(f)))
            .OrderBy(p => p.Path, StringComparer.Ordinal)];

    /// <summary>Lines of shell blocks and of blocks without a language, continued lines joined.</summary>
    public IEnumerable<string> CodeLines() => Fence().Matches(Text)
        .Where(m => m.Groups["language"].Value is "" or "sh" or "console")
        .SelectMany(m => m.Groups["code"].Value.Replace("\\\n", " ", StringComparison.Ordinal).Split('\n'));

    /// <summary>What stands between single backquotes in the text.</summary>
    public IEnumerable<string> InlineCode() =>
        Inline().Matches(Fence().Replace(Text, "")).Select(m => m.Groups["code"].Value);

    public IEnumerable<string> Links() =>
        Link().Matches(Fence().Replace(Text, "")).Select(m => m.Groups["target"].Value);

    /// <summary>Anchors of the headings, made as GitHub makes them.</summary>
    public IEnumerable<string> Anchors() => Heading().Matches(Fence().Replace(Text, "")).Select(
        m => NoAnchor().Replace(m.Groups["text"].Value.Trim().ToLowerInvariant(), "").Replace(' ', '-'));

    private static IEnumerable<string> Folder(string name) =>
        Directory.EnumerateFiles(System.IO.Path.Combine(Repository.Root, name), "*.md", SearchOption.AllDirectories);

    [GeneratedRegex(@"^```(?<language>\w*)[^\n]*\n(?<code>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex("`(?<code>[^`\n]+)`")]
    private static partial Regex Inline();

    [GeneratedRegex(@"\]\((?<target>[^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("^#+ (?<text>.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NoAnchor();
}
