using System.Xml.Linq;
using Xunit;

namespace Berth.Tests.Gates;

/// <summary>The shape of the tree that docs/architecture.md promises.</summary>
public sealed class StructureTests
{
    private const int MaxFileLines = 500;

    private static readonly string[] RoomNamesThatSayNothing =
        ["Common", "Utils", "Util", "Helpers", "Helper", "Shared", "Models", "Services", "Managers", "Misc"];

    private static readonly Dictionary<string, string[]> AllowedReferences = new()
    {
        ["Berth.Core"] = [],
        ["Berth.Init"] = [],
        ["Berth.Api"] = ["Berth.Core"],
        ["Berth.Oci"] = ["Berth.Core"],
        ["Berth.Registry"] = ["Berth.Oci", "Berth.Core"],
        ["Berth.Node"] = ["Berth.Oci", "Berth.Api", "Berth.Core"],
        ["Berth.Server"] = ["Berth.Api", "Berth.Registry", "Berth.Oci", "Berth.Core"],
        ["Berth.Commands"] = ["Berth.Core", "Berth.Api", "Berth.Oci"],
        ["Berth.Native"] = ["Berth.Commands"],
        ["Berth.Cli"] =
        [
            "Berth.Core", "Berth.Api", "Berth.Oci", "Berth.Registry", "Berth.Node", "Berth.Server", "Berth.Commands",
        ],
    };

    [Fact]
    public void Projects_reference_only_the_rooms_they_may()
    {
        string[] projects = Directory.GetFiles(
            Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories);

        var wrong =
            from project in projects
            let name = Path.GetFileNameWithoutExtension(project)
            from reference in XDocument.Load(project).Descendants("ProjectReference")
            let target = Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value)
            where !AllowedReferences.TryGetValue(name, out string[]? allowed) || !allowed.Contains(target)
            select $"{name} → {target}";

        Assert.Empty(wrong);
        Assert.Equal(AllowedReferences.Keys.Order(), projects.Select(Path.GetFileNameWithoutExtension).Order());
    }

    [Fact]
    public void The_table_of_rooms_says_what_projects_may_use()
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs/architecture.md"));
        Dictionary<string, string[]> table = page.Split('\n')
            .Where(line => line.StartsWith("| `Berth.", StringComparison.Ordinal))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .ToDictionary(cells => cells[1].Trim('`'), cells => cells[3] switch
            {
                "nothing" => [],
                "all" => [.. AllowedReferences.Keys.Except(["Berth.Cli", "Berth.Init", "Berth.Native"])],
                { } names => names.Split(", ").Select(name => "Berth." + name).ToArray(),
            });

        Assert.Equal(AllowedReferences.Keys.Order(), table.Keys.Order());
        Assert.All(
            table.Keys,
            room => Assert.Equal(Reachable(AllowedReferences, room).Order(), Reachable(table, room).Order()));
    }

    // The table leaves out what is reached through another room.
    private static IEnumerable<string> Reachable(Dictionary<string, string[]> uses, string room) =>
        uses[room].SelectMany(used => Reachable(uses, used).Append(used)).Distinct();

    [Fact]
    public void Files_stay_under_five_hundred_lines()
    {
        var long_ = Repository.SourceFiles()
            .Select(file => (File: file, Lines: File.ReadLines(Path.Combine(Repository.Root, file)).Count()))
            .Where(entry => entry.Lines > MaxFileLines);

        Assert.Empty(long_);
    }

    [Fact]
    public void No_line_is_wider_than_a_reviewer_can_see()
    {
        var wide =
            from file in Repository.SourceFiles()
            from entry in File.ReadLines(Path.Combine(Repository.Root, file)).Select((text, index) => (text, index))
            where entry.text.Length > 120
            select $"{file}:{entry.index + 1} has {entry.text.Length}";

        Assert.Empty(wide);
    }

    [Fact]
    public void Folders_are_named_for_nouns_of_the_domain()
    {
        var empty = Repository.SourceFiles().Where(f => f.Split('/').SkipLast(1).Any(RoomNamesThatSayNothing.Contains));

        Assert.Empty(empty);
    }

    [Fact]
    public void Nothing_is_left_to_do_later()
    {
        string[] marks = ["TO" + "DO", "FIX" + "ME", "HA" + "CK:", "NotImplemented" + "Exception"];
        var marked =
            from file in Repository.SourceFiles()
            from entry in File.ReadLines(Path.Combine(Repository.Root, file)).Select((text, index) => (text, index))
            where marks.Any(m => entry.text.Contains(m, StringComparison.Ordinal))
            select $"{file}:{entry.index + 1}";

        Assert.Empty(marked);
    }
}
