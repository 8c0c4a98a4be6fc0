using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Types in what docs/guide shows, page by page in the reader's order, against a real server. A block of another kind
/// than <c>sh</c>, or marked <c>shown</c>, is not run.
/// </summary>
[Collection("server")]
public sealed partial class GuideTests
{
    // The later pages use the images that the first one makes.
    private static readonly string[] Pages =
        ["first-image", "calls", "tasks", "limits-and-isolation", "troubleshooting", "running-a-server"];

    [Fact]
    public async Task The_guide_works_as_written()
    {
        await using ServerProcess server = new();
        await server.StartAsync("--callback-allow", "127.0.0.1");
        string folder = Directory.CreateDirectory(Path.Combine(server.Folder, "reader")).FullName;
        Dictionary<string, string> variables = Variables(server, folder);
        string callbackPort = FreePort();

        foreach (string page in Pages)
        {
            string text = await File.ReadAllTextAsync(PathOf(page), TestContext.Current.CancellationToken);
            string commands = string.Concat(Block().Matches(text).Select(m => m.Groups["commands"].Value))
                .Replace("127.0.0.1:7070", server.Host, StringComparison.Ordinal)
                .Replace("/var/lib/berth", server.Data, StringComparison.Ordinal)
                .Replace("8099", callbackPort, StringComparison.Ordinal);

            ToolResult result = await Tool.RunAsync(
                "bash", ["-euo", "pipefail", "-c", $"cd '{folder}'; exec 2>&1; set -x\n{commands}"], [], variables);

            Assert.True(result.ExitCode == 0, $"{page}.md failed with exit code {result.ExitCode}:\n{result.Text}");
        }
    }

    [Fact]
    public void Every_page_of_the_guide_is_tried()
    {
        IEnumerable<string> pages = Directory.EnumerateFiles(Path.GetDirectoryName(PathOf("calls"))!, "*.md")
            .Select(f => Path.GetFileNameWithoutExtension(f));

        Assert.Equal(Pages.Order(), pages.Order());
    }

    /// <summary>The reader's own home, and container storage that other users of this machine don't see.</summary>
    private static Dictionary<string, string> Variables(ServerProcess server, string folder)
    {
        string storage = Path.Combine(folder, "storage.conf");
        File.WriteAllText(
            storage,
            $"[storage]\ndriver = \"vfs\"\ngraphroot = \"{folder}/images\"\nrunroot = \"{folder}/images-run\"\n");
        return new(server.Variables)
        {
            ["PATH"] =
                $"{Path.GetDirectoryName(ServerProcess.Executable)}:{Environment.GetEnvironmentVariable("PATH")}",
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

    [GeneratedRegex("^```sh *\n(?<commands>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();
}
