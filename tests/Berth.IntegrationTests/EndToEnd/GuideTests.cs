using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Types in what docs/guide shows, page by page in the reader's order, against a real server, and compares what is
/// printed with what the pages say. See <see cref="GuidePage"/> and <see cref="GuideMask"/>.
/// </summary>
[Collection("server")]
public sealed class GuideTests
{
    // The later pages use the images that the first one makes.
    private static readonly string[] Pages =
    [
        "first-image", "calls", "tasks", "functions", "services", "berth-yaml", "lambda", "pictures",
        "rollouts", "secrets", "triggers", "traffic",
        "containers", "networks", "limits-and-isolation", "troubleshooting", "running-a-server", "registry", "security",
    ];

    [Fact]
    public async Task The_guide_works_as_written()
    {
        await using ServerProcess server = new();
        await server.StartAsync("--callback-allow", "127.0.0.1", "--node-name", "vm", "--max-running", "16",
            "--function-domain", "fn.example.org", "--host-names", "localhost");
        string folder = Directory.CreateDirectory(Path.Combine(server.Folder, "reader")).FullName;
        // A page is read where Berth's sources are.
        File.CreateSymbolicLink(
            Path.Combine(folder, "samples"), Path.Combine(ServerProcess.RepositoryRoot(), "samples"));
        Dictionary<string, string> variables = Variables(server, folder);
        // What the pages say, and what it is here; the longer ones first.
        (string Said, string Here)[] places =
        [
            ("/var/lib/berth", server.Data), ("127.0.0.1:7070", server.Host), ("8099", FreePort()),
            ("/root/", server.Folder + "/"),
        ];

        List<string> wrong = [];
        foreach (string name in Pages)
        {
            GuidePage page = await ReadAsync(name);
            string script = places[..3].Aggregate(page.Script(), (text, p) => text.Replace(p.Said, p.Here));

            ToolResult result = await Tool.RunAsync(
                "bash", ["-euo", "pipefail", "-c", $"cd '{folder}'\n{script}"], [], variables);

            string printed = places.Aggregate(result.Text, (text, p) => text.Replace(p.Here, p.Said));
            Assert.True(result.ExitCode == 0, $"{name}.md failed with exit code {result.ExitCode}:\n{printed}");
            wrong.AddRange(page.Compare(printed).Select(what => $"{name}.md: {what}"));
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public async Task An_exit_code_that_is_only_printed_is_shown_by_the_page()
    {
        foreach (string name in Pages)
        {
            GuidePage page = await ReadAsync(name);
            Assert.DoesNotContain(
                page.Steps, s => s.Commands.Contains("exit code $?", StringComparison.Ordinal) && !s.IsShown);
        }
    }

    [Fact]
    public void Every_page_of_the_guide_is_tried()
    {
        IEnumerable<string> pages = Directory.EnumerateFiles(Path.GetDirectoryName(PathOf("calls"))!, "*.md")
            .Select(f => Path.GetFileNameWithoutExtension(f));

        Assert.Equal(Pages.Order(), pages.Order());
    }

    private static async Task<GuidePage> ReadAsync(string name) =>
        GuidePage.Parse(name, await File.ReadAllTextAsync(PathOf(name), TestContext.Current.CancellationToken));

    /// <summary>The reader's own home, and container storage that other users of this machine don't see.</summary>
    private static Dictionary<string, string> Variables(ServerProcess server, string folder)
    {
        string storage = Path.Combine(folder, "storage.conf");
        File.WriteAllText(
            storage,
            $"[storage]\ndriver = \"vfs\"\ngraphroot = \"{folder}/images\"\nrunroot = \"{folder}/images-run\"\n");
        return new(server.Variables)
        {
            ["PATH"] = DebianPackages.PathWith(server.Folder),
            ["CONTAINERS_STORAGE_CONF"] = storage,
            ["REGISTRY_AUTH_FILE"] = Path.Combine(folder, "auth.json"),
        };
    }

    private static string PathOf(string page) =>
        Path.Combine(ServerProcess.RepositoryRoot(), "docs/guide", page + ".md");

    private static string FreePort()
    {
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }
}
