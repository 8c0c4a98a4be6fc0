using Berth.IntegrationTests.Nodes;
using Berth.Node;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// The cluster on one machine that samples/cluster starts: its demonstration loses no task, the page on several
/// machines works as written, and nothing is left of either.
/// </summary>
[Collection("containers")]
public sealed class ClusterPageTests : IAsyncLifetime
{
    private static readonly string[] Machines = ["one", "two", "worker-1", "worker-2", "worker-3"];

    private readonly string folder =
        Directory.CreateDirectory($"/var/tmp/berth-e2e-{Path.GetRandomFileName()}").FullName;
    private Dictionary<string, string> variables = [];

    private static string Script => Path.Combine(ServerProcess.RepositoryRoot(), "samples/cluster/cluster.sh");

    private static string Name => $"c{Environment.ProcessId % 100000}";

    private string State => Path.Combine(folder, "cluster");

    public ValueTask InitializeAsync()
    {
        variables = new()
        {
            ["PATH"] = DebianPackages.PathWith(folder),
            ["HOME"] = folder,
            ["NO_COLOR"] = "1",
            ["CLUSTER"] = State,
            ["CLUSTER_NAME"] = Name,
            ["CLUSTER_NET"] = $"10.99.{Environment.ProcessId % 250}",
        };
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing: ./build.sh.");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "A cluster needs root.");
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (Directory.Exists(State))
        {
            await Tool.RunAsync("bash", [Script, "down"], [], variables);
        }

        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task The_demonstration_kills_a_node_a_server_and_the_database_and_loses_no_task()
    {
        ToolResult result = await Tool.RunAsync("bash", [Script, "demo"], [], variables);

        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}:\n{result.Text}{result.Error}");
        Assert.Contains("60 of 60 tasks have their result, one each;", result.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("; 0 were begun anew", result.Text, StringComparison.Ordinal);
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task The_page_on_several_machines_works_as_written()
    {
        string reader = Directory.CreateDirectory(Path.Combine(folder, "reader")).FullName;
        File.CreateSymbolicLink(
            Path.Combine(reader, "samples"), Path.Combine(ServerProcess.RepositoryRoot(), "samples"));
        GuidePage page = GuidePage.Parse(
            "cluster",
            await File.ReadAllTextAsync(
                Path.Combine(ServerProcess.RepositoryRoot(), "docs/cluster.md"),
                TestContext.Current.CancellationToken));

        ToolResult result = await Tool.RunAsync(
            "bash", ["-euo", "pipefail", "-c", $"cd '{reader}'\n{page.Script()}"], [], variables);

        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}:\n{result.Text}");
        string[] wrong = [.. page.Compare(result.Text)];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
        await NothingIsLeftAsync();
    }

    private async Task NothingIsLeftAsync()
    {
        Assert.False(Directory.Exists(State), $"{State} is left.");
        ToolResult links = await Tool.RunAsync(NamespaceMachines.Ip, ["-o", "link"], []);
        ToolResult namespaces = await Tool.RunAsync(NamespaceMachines.Ip, ["netns"], []);
        Assert.DoesNotContain($" {Name}-", links.Text, StringComparison.Ordinal);
        Assert.DoesNotContain($"br{Name}", links.Text, StringComparison.Ordinal);
        Assert.DoesNotContain($"{Name}-", namespaces.Text, StringComparison.Ordinal);
        foreach (string data in Machines.Select(machine => Path.Combine(State, machine)))
        {
            Assert.Empty(HostTraces.Of(NodeOptions.InstanceOf(data), data));
        }
    }
}
