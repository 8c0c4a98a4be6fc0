using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Starting, stopping and killing the published server.</summary>
[Collection("server")]
public sealed class ServerLifeTests
{
    [Fact]
    public async Task A_stopped_server_leaves_nothing_and_picks_up_where_it_was()
    {
        await using ServerProcess server = new();
        await server.StartAsync();
        await PushBusyboxAsync(server);
        string done = (await server.BerthAsync("x"u8.ToArray(), "task", "submit", "demo/busybox")).Succeed();
        (await server.BerthAsync("task", "wait", done)).Succeed();
        string running = (await server.BerthAsync("task", "submit", "demo/busybox", "sleep", "2")).Succeed();

        int exitCode = await server.StopAsync();

        Assert.Equal(0, exitCode);
        AssertNothingLeft(server);
        await server.StartAsync();
        Assert.Equal("x", (await server.BerthAsync("task", "result", done)).Succeed());
        Assert.Equal($"{running} succeeded", (await server.BerthAsync("task", "wait", running)).Succeed());
    }

    [Fact]
    public async Task A_killed_server_loses_no_task()
    {
        await using ServerProcess server = new();
        await server.StartAsync();
        await PushBusyboxAsync(server);
        List<string> ids = [];
        for (int i = 0; i < 5; i++)
        {
            ids.Add((await server.BerthAsync("task", "submit", "demo/busybox", "sleep", "1")).Succeed());
        }

        await server.KillAsync();
        await server.StartAsync();

        foreach (string id in ids)
        {
            Assert.Equal($"{id} succeeded", (await server.BerthAsync("task", "wait", id)).Succeed());
        }

        Assert.Equal(0, await server.StopAsync());
        AssertNothingLeft(server);
    }

    [Fact]
    public async Task A_second_server_on_the_same_data_is_refused()
    {
        await using ServerProcess server = new();
        await server.StartAsync();

        ToolResult second = await Tool.RunAsync(
            ServerProcess.Executable, ["serve", "--data", server.Data, "--listen", "127.0.0.1:0"]);

        Assert.NotEqual(0, second.ExitCode);
        Assert.Contains(server.Data, second.Error + second.Text);
    }

    [Theory]
    [InlineData("--max-running", "many", "max-running")]
    [InlineData("--listen", "nowhere", "listen")]
    [InlineData("--config", "/no/such/file", "/no/such/file")]
    public async Task A_setting_that_can_not_be_used_is_named(string flag, string value, string named)
    {
        ToolResult result = await Tool.RunAsync(
            ServerProcess.Executable, ["serve", "--data", "/var/tmp/berth-none", flag, value]);

        Assert.Equal(78, result.ExitCode);
        Assert.Contains(named, result.Error);
        Assert.False(Directory.Exists("/var/tmp/berth-none"));
    }

    private static async Task PushBusyboxAsync(ServerProcess server)
    {
        string layout = Path.Combine(server.Folder, "layout");
        await BusyboxLayout.MakeAsync(layout);
        (await Tool.RunAsync(
            "skopeo",
            [
                "copy", "--dest-tls-verify=false", "--dest-creds", $"berth:{server.Token}", $"oci:{layout}:busybox",
                $"docker://{server.Host}/demo/busybox:latest",
            ])).Succeed();
    }

    // The folder's own name is in every mount and every command line that belongs to it.
    private static void AssertNothingLeft(ServerProcess server)
    {
        Assert.DoesNotContain(
            File.ReadLines("/proc/self/mountinfo"), l => l.Contains(server.Folder, StringComparison.Ordinal));
        Assert.DoesNotContain(Processes(), c => c.Contains(server.Folder, StringComparison.Ordinal));
    }

    private static IEnumerable<string> Processes()
    {
        foreach (
            string folder in Directory.EnumerateDirectories("/proc").Where(
                d => int.TryParse(Path.GetFileName(d), out _)))
        {
            string line = "";
            try
            {
                line = File.ReadAllText(folder + "/cmdline");
            }
            catch (IOException)
            {
                // It ended while we looked.
            }

            yield return line;
        }
    }
}
