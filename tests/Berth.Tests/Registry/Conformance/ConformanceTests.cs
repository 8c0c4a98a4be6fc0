using System.Text;
using Berth.Testing.Registry;
using Berth.Tests.Gates;
using Xunit;

namespace Berth.Tests.Registry.Conformance;

/// <summary>
/// Holds the registry, over HTTP, to the sentences of the OCI Distribution Specification 1.1. The page
/// <c>docs/internals/registry-conformance.md</c> is the table of them.
/// </summary>
public sealed class ConformanceTests(ConformanceTests.Server server) : IClassFixture<ConformanceTests.Server>
{
    private static readonly IReadOnlyList<Requirement> Requirements =
    [
        .. PullRequirements.All, .. PushRequirements.All, .. ManifestRequirements.All, .. DiscoveryRequirements.All,
    ];

    public static TheoryData<string> Ids => [.. Requirements.Select(r => r.Id)];

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task The_registry_does_what_the_specification_says(string id)
    {
        Requirement requirement = Requirements.Single(r => r.Id == id);

        await requirement.Check(new ConformanceRig(server.Registry, id));
    }

    /// <summary>With BERTH_WRITE_DOCUMENTS=1 the page is written instead.</summary>
    [Fact]
    public async Task The_page_lists_every_requirement()
    {
        StringBuilder page = new(
            """
            # The registry and the distribution specification

            Sentences of the OCI Distribution Specification 1.1, shortened, that the registry is held to. Each is a
            check over HTTP in `tests/Berth.Tests/Registry/Conformance`. A test keeps this table in step; they all pass.

            | Check | Section | Sentence |
            |---|---|---|

            """);
        foreach (Requirement requirement in Requirements)
        {
            page.Append($"| `{requirement.Id}` | {requirement.Section} | ")
                .Append(requirement.Sentence.Replace("<", "&lt;", StringComparison.Ordinal)).Append(" |\n");
        }

        string path = Path.Combine(Repository.Root, "docs/internals/registry-conformance.md");
        if (Environment.GetEnvironmentVariable("BERTH_WRITE_DOCUMENTS") == "1")
        {
            await File.WriteAllTextAsync(path, page.ToString(), TestContext.Current.CancellationToken);
        }

        Assert.Equal(page.ToString(), await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken));
    }

    /// <summary>One registry for all checks; each has a repository of its own.</summary>
    public sealed class Server : IAsyncLifetime
    {
        internal TestRegistry Registry { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Registry = await TestRegistry.StartAsync();

        public ValueTask DisposeAsync() => Registry.DisposeAsync();
    }
}
