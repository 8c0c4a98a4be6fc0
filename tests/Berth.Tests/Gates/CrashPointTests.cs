using System.Text.RegularExpressions;
using Berth.Core.Faults;
using Xunit;

namespace Berth.Tests.Gates;

/// <summary>The table of crash points and the source agree.</summary>
public sealed partial class CrashPointTests
{
    [Fact]
    public void Every_crash_point_is_reached_at_one_place_of_the_source()
    {
        IEnumerable<string> reached =
            from file in Repository.SourceFiles()
            where file.StartsWith("src/", StringComparison.Ordinal)
            from Match match in Reach().Matches(File.ReadAllText(Path.Combine(Repository.Root, file)))
            select match.Groups["point"].Value;

        Assert.Equal(Enum.GetNames<CrashPoint>().Order(StringComparer.Ordinal), reached.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void There_are_enough_to_meet_every_step() => Assert.True(Enum.GetNames<CrashPoint>().Length >= 60);

    [GeneratedRegex(@"CrashPoints\.Reach\(CrashPoint\.(?<point>\w+)\)")]
    private static partial Regex Reach();
}
