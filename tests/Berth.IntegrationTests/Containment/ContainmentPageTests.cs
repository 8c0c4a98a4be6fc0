using Berth.IntegrationTests.Documents;
using Xunit;

namespace Berth.IntegrationTests.Containment;

public sealed class ContainmentPageTests
{
    private static string Place => Path.Combine(RepositoryFolder.Path, "docs/internals/containment.md");

    [Fact]
    public async Task The_page_says_what_the_tables_say()
    {
        if (Environment.GetEnvironmentVariable("BERTH_WRITE_PAGES") == "1")
        {
            await File.WriteAllTextAsync(Place, ContainmentPage.Render(), TestContext.Current.CancellationToken);
        }

        Assert.Equal(
            ContainmentPage.Render(), await File.ReadAllTextAsync(Place, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void There_are_as_many_attacks_as_promised()
    {
        int others = ResourceAttack.All.Count + NetworkAttackContract.Rows.Count + ImageAttack.All.Count;

        Assert.True(others >= 14, $"There are {others}.");
        Assert.All(ResourceAttack.All, a => Assert.NotEmpty(a.Outcome));
        Assert.All(ImageAttack.All, a => Assert.NotEmpty(a.Outcome));
    }
}
