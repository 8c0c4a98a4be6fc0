using System.Text;
using System.Text.RegularExpressions;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A block of commands of a page, and what the page says that they print.</summary>
/// <param name="Printed">Null where the page does not show it, or only as an example.</param>
internal sealed record GuideStep(string Commands, string? Printed, bool IsShown);

/// <summary>
/// A page of the guide as steps to try: blocks marked <c>sh</c>, each with the block marked <c>text</c> that follows.
/// What is marked <c>sh shown</c> is not run, what is marked <c>text example</c> depends on the machine. A line
/// <c>…</c> stands for any lines.
/// </summary>
internal sealed partial record GuidePage(string Name, IReadOnlyList<GuideStep> Steps)
{
    private const string Elision = "…";

    public static GuidePage Parse(string name, string text)
    {
        List<GuideStep> steps = [];
        bool open = false;
        foreach (Match block in Block().Matches(text))
        {
            string content = block.Groups["content"].Value;
            switch (block.Groups["mark"].Value.TrimEnd())
            {
                case "sh":
                    steps.Add(new GuideStep(content, null, IsShown: false));
                    break;
                case "text" when open:
                    steps[^1] = steps[^1] with { Printed = content, IsShown = true };
                    break;
                case "text example" when open:
                    steps[^1] = steps[^1] with { IsShown = true };
                    break;
            }

            open = block.Groups["mark"].Value.TrimEnd() == "sh";
        }

        return new GuidePage(name, steps);
    }

    /// <summary>One script of all steps; each step's output ends with <see cref="EndOf"/>.</summary>
    public string Script()
    {
        StringBuilder script = new("exec 2>&1\n");
        for (int i = 0; i < Steps.Count; i++)
        {
            script.Append(Steps[i].Commands).Append($"printf '%s' '{EndOf(i)}'\n");
        }

        return script.ToString();
    }

    /// <summary>What is wrong with a script's output; nothing when every step printed what the page shows.</summary>
    public IEnumerable<string> Compare(string output)
    {
        for (int i = 0; i < Steps.Count; i++)
        {
            int end = output.IndexOf(EndOf(i), StringComparison.Ordinal);
            if (end < 0)
            {
                yield return $"step {i + 1} did not end:\n{Steps[i].Commands}It printed:\n{output}";
                yield break;
            }

            string printed = output[..end];
            output = output[(end + EndOf(i).Length)..];
            if (Steps[i].Printed is { } shown && !Matches(GuideMask.Apply(shown), GuideMask.Apply(printed)))
            {
                yield return $"step {i + 1} prints something else than the page shows:\n{Steps[i].Commands}"
                    + $"--- shown\n{GuideMask.Apply(shown)}\n--- printed\n{GuideMask.Apply(printed)}\n"
                    + $"--- printed, unmasked\n{printed}";
            }
        }
    }

    private static string EndOf(int step) => $"<<end of step {step + 1}>>";

    private static bool Matches(string shown, string printed)
    {
        IEnumerable<string> lines = shown.Split('\n')
            .Select(line => line == Elision ? "(?:.*\n)*?" : Regex.Escape(line) + "\n");
        return Regex.IsMatch(printed + "\n", $@"\A{string.Concat(lines)}\z");
    }

    [GeneratedRegex("^```(?<mark>[^\n]*)\n(?<content>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();
}
