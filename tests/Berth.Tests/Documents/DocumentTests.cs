using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
using Berth.Commands;
using Berth.Server.Configuration;
using Berth.Tests.Commands;
using Berth.Tests.Gates;
using Xunit;

namespace Berth.Tests.Documents;

/// <summary>What the pages say can be typed and followed.</summary>
public sealed partial class DocumentTests
{
    private static readonly BerthRoot Root = CommandTreeTests.NewRoot();

    public static TheoryData<string> Pages => [.. MarkdownPage.All.Select(p => p.Path)];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_command_line_parses(string page)
    {
        var wrong =
            from line in Find(page).CodeLines()
            where !line.TrimStart().StartsWith('#')
            from part in Parts(Comment().Replace(line, ""))
            from Match match in Invocation().Matches(part)
            let complete = !match.Value.Contains("xargs", StringComparison.Ordinal)
            let problem = Problem(match.Groups["rest"].Value, complete)
            where problem is not null
            select $"{line.Trim()}: {problem}";

        Assert.Empty(wrong);
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_command_named_in_the_text_exists(string page)
    {
        var wrong =
            from code in Find(page).InlineCode()
            where code.StartsWith("berth ", StringComparison.Ordinal)
            let problem = Problem(code["berth ".Length..], complete: false)
            where problem is not null
            select $"{code}: {problem}";

        Assert.Empty(wrong);
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_link_leads_somewhere(string page)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, page))!;
        var wrong =
            from link in Find(page).Links()
            where !link.Contains("://", StringComparison.Ordinal)
            let parts = link.Split('#')
            let target = Path.GetFullPath(
                parts[0].Length == 0 ? Path.Combine(Repository.Root, page) : Path.Combine(folder, parts[0]))
            where !(File.Exists(target) || Directory.Exists(target))
                || (parts.Length > 1 && !HasAnchor(target, parts[1]))
            select link;

        Assert.Empty(wrong);
    }

    [Fact]
    public void Every_page_of_the_guide_and_the_reference_is_linked_from_the_readme()
    {
        MarkdownPage readme = Find("README.md");
        IEnumerable<string> pages = Pages.Select(r => r.Data)
            .Where(p => p.StartsWith("docs/guide/", StringComparison.Ordinal)
                || p.StartsWith("docs/operations/", StringComparison.Ordinal)
                || p.StartsWith("docs/reference/", StringComparison.Ordinal));

        Assert.Empty(pages.Except(readme.Links()));
    }

    [Fact]
    public void The_chinese_readme_names_the_same_commands_and_pages()
    {
        MarkdownPage english = Find("README.md");
        MarkdownPage chinese = Find("README.zh-CN.md");

        Assert.Equal(Commands(english), Commands(chinese));
        Assert.Equal(
            english.Links().Except(["README.zh-CN.md"]).Order(), chinese.Links().Except(["README.md"]).Order());
    }

    [Fact]
    public void Every_test_that_the_page_on_security_names_exists()
    {
        HashSet<string> tests = [.. Repository.SourceFiles().Select(f => Path.GetFileNameWithoutExtension(f))];
        string[] named =
        [
            .. Find("docs/guide/security.md").InlineCode().Where(c => c.EndsWith("Tests", StringComparison.Ordinal)),
        ];

        Assert.NotEmpty(named);
        Assert.Empty(named.Except(tests));
    }

    [Fact]
    public void The_settings_named_in_the_guide_exist()
    {
        HashSet<string> known = [.. ConfigurationKeys.All.SelectMany(k => (string[])[k.Flag, k.Variable])];
        var wrong =
            from page in MarkdownPage.All
            where page.Path.StartsWith("docs/guide/", StringComparison.Ordinal)
                || page.Path.StartsWith("docs/operations/", StringComparison.Ordinal)
            from line in page.CodeLines().Where(l => l.Contains("berth serve", StringComparison.Ordinal))
            from Match flag in Flag().Matches(line)
            where !known.Contains(flag.Value) && flag.Value != "--config"
            select $"{page.Path}: {flag.Value}";

        Assert.Empty(wrong);
    }

    private static IEnumerable<string> Commands(MarkdownPage page) =>
        page.CodeLines().Select(line => Comment().Replace(line, "").Trim());

    private static MarkdownPage Find(string page) => MarkdownPage.All.Single(p => p.Path == page);

    private static bool HasAnchor(string file, string anchor) =>
        new MarkdownPage(file, File.ReadAllText(file)).Anchors().Contains(anchor);

    // What is in $( ) or <( ) is a command of its own, and one word of the command around it.
    private static IEnumerable<string> Parts(string line) =>
        Substitution().Matches(line).Select(m => m.Groups["inner"].Value).Append(Substitution().Replace(line, "value"));

    /// <param name="complete">False where arguments may be left out: in a mention of the command, or
    /// because xargs adds them.</param>
    private static string? Problem(string rest, bool complete)
    {
        string[] words = [.. ShellWords.Split(rest).Where(word => word != "…")];
        ParseResult result = Root.Parse(
            ProgramArguments.Protect(Root, words), new ParserConfiguration { ResponseFileTokenReplacer = null });
        string? option = CommandLine.UnknownOption(result);
        ParseError? error = result.Errors.FirstOrDefault(
            e => complete || !e.Message.Contains("Required", StringComparison.Ordinal));
        bool shown = result.CommandResult.Command is Verb || !complete;
        return option is not null ? "no option " + option
            : CommandTreeTests.OptionOfTheProgram(result) is { } misplaced ? $"{misplaced} goes to the program"
            : result.UnmatchedTokens.Count > 0 ? "nothing takes " + result.UnmatchedTokens[0]
            : error?.Message ?? (shown ? null : "a command is missing");
    }

    // At the beginning, after a pipe or another command, in $( ), and after variables set for it.
    [GeneratedRegex(@"(?:^|[|;&(]|\bxargs -r )\s*(?:[A-Z_]+=\S*\s+)*(?:out/|\$ )?berth (?<rest>(?:'[^']*'|[^|;&])*)")]
    private static partial Regex Invocation();

    [GeneratedRegex(@"[$<]\((?<inner>[^()]*)\)")]
    private static partial Regex Substitution();

    [GeneratedRegex(@"\s#\s.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"--[a-z-]+")]
    private static partial Regex Flag();
}
