using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Containers by the command line on real runc: their files and volumes outlast starts and servers, files go in and out
/// without leaving the container, and nothing stays behind.
/// </summary>
[Collection("server")]
public sealed class ContainerTests
{
    [Fact]
    public async Task Files_outlast_stops_restarts_and_a_killed_server()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(
            server, "run", "-d", "--name", "web", "--restart", "always", "-v", "pages:/srv", "demo/busybox", "sh", "-c",
            "echo start >> /log; echo start >> /srv/log; exec sleep 600");
        await BerthAsync(server, "restart", "-t", "0", "web");
        await BerthAsync(server, "stop", "-t", "0", "web");
        await BerthAsync(server, "start", "web");

        await server.KillAsync();
        await server.StartAsync();
        await IsAsync(server, "web", "running");

        await Condition.HoldsAsync("it was started four times", async () =>
            await BerthAsync(server, "exec", "web", "cat", "/log") is "start\nstart\nstart\nstart" ? null : "not yet");
        Assert.Equal("start\nstart\nstart\nstart", await BerthAsync(server, "exec", "web", "cat", "/srv/log"));
        await BerthAsync(server, "rm", "-f", "web");
        Assert.Equal(
            "4 /srv/log",
            await BerthAsync(server, "run", "--rm", "-v", "pages:/srv", "demo/busybox", "wc", "-l", "/srv/log"));
        await BerthAsync(server, "volume", "rm", "pages");
        await EndAsync(server);
    }

    [Fact]
    public async Task What_a_killed_server_left_running_has_exited_and_can_be_started_again()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(
            server, "run", "-d", "--name", "job", "demo/busybox", "sh", "-c", "echo x >> /log; exec sleep 600");

        await server.KillAsync();
        await server.StartAsync();
        JsonElement lost = await InspectAsync(server, "job");
        await BerthAsync(server, "start", "job");

        Assert.Equal(
            ("exited", "platform_fault"),
            (lost.GetProperty("state").GetString(), lost.GetProperty("reason").GetString()));
        Assert.Equal("x\nx", await BerthAsync(server, "exec", "job", "cat", "/log"));
        using HttpResponseMessage run = await server.Http.GetAsync("/v1/runs/" + lost.GetProperty("run").GetString());
        Assert.Contains("\"failed\"", await run.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        await BerthAsync(server, "rm", "-f", "job");
        await EndAsync(server);
    }

    [Fact]
    public async Task A_program_at_a_terminal_is_typed_at_resized_and_left()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(server, "create", "-it", "--name", "shell", "demo/busybox", "sh");

        ToolResult refused = await server.BerthAsync("run", "-it", "demo/busybox", "sh");
        await BerthAsync(server, "start", "shell");
        string terminal = await BerthAsync(server, "exec", "-t", "shell", "sh", "-c", "[ -t 1 ] && echo yes");

        Assert.Equal(64, refused.ExitCode);
        Assert.Contains("standard input is none", refused.Error, StringComparison.Ordinal);
        Assert.Equal("yes\r", terminal);
        await BerthAsync(server, "rm", "-f", "shell");
        await EndAsync(server);
    }

    [Fact]
    public async Task A_log_is_followed_for_as_long_as_somebody_reads_it()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(
            server, "run", "-d", "--name", "web", "demo/busybox", "sh", "-c", "echo one; exec sleep 600");

        ToolResult log = await server.ShellAsync(
            "cd \"$HOME\"; { timeout 60 \"$BERTH\" logs -f web; echo $? > ended; } | head -n 1; "
            + "while ! [ -s ended ]; do sleep 0.1; done; "
            + "cat ended");

        Assert.Equal("one\n141", log.Succeed());
        await BerthAsync(server, "rm", "-f", "web");
        await EndAsync(server);
    }

    [Fact]
    public async Task One_that_is_started_again_is_left_at_its_first_end_and_that_is_told()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();

        ToolResult first = await server.BerthAsync(
            "run", "--name", "web", "--restart", "always", "demo/busybox", "sh", "-c", "echo run; exit 3");

        Assert.Equal((3, "run\n"), (first.ExitCode, first.Text));
        Assert.Contains("web is started again (--restart always)", first.Error, StringComparison.Ordinal);
        await BerthAsync(server, "rm", "-f", "web");
        await EndAsync(server);
    }

    [Fact]
    public async Task A_program_at_a_terminal_draws_anew_for_everybody_who_comes()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(
            server, "run", "-dt", "--name", "screen", "demo/busybox", "sh", "-c",
            "trap 'echo drawn' WINCH; while :; do sleep 0.1; done");

        for (int i = 0; i < 2; i++)
        {
            using Pty pty = new(
                $"stty rows 24 cols 80; exec '{ServerProcess.Executable}' attach --no-stdin screen", server.Variables);
            await pty.ShowsAsync("drawn");
        }

        await BerthAsync(server, "rm", "-f", "screen");
        await EndAsync(server);
    }

    [Fact]
    public async Task What_is_piped_in_comes_out_and_the_exit_code_is_passed_on()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(server, "run", "-d", "--name", "web", "demo/busybox", "sleep", "600");

        ToolResult exec = await server.BerthAsync("hello"u8.ToArray(), "exec", "-i", "web", "sh", "-c", "cat; exit 9");
        ToolResult run = await server.BerthAsync(
            "hello"u8.ToArray(), "run", "--rm", "--name", "once", "demo/busybox", "sh", "-c",
            "cat; echo e >&2; exit 5");
        ToolResult missing = await server.BerthAsync("run", "--rm", "--name", "none", "demo/busybox", "nothing");

        Assert.Equal((9, "hello"), (exec.ExitCode, exec.Text));
        Assert.Equal((5, "hello", "e\n"), (run.ExitCode, run.Text, run.Error));
        Assert.Equal(127, missing.ExitCode);
        JsonElement left = JsonDocument.Parse(await BerthAsync(server, "ps", "-a", "-o", "json")).RootElement;
        Assert.Equal("web", Assert.Single(left.EnumerateArray()).GetProperty("name").GetString());
        await BerthAsync(server, "rm", "-f", "web");
        await EndAsync(server);
    }

    [Fact]
    public async Task Files_go_in_and_out_whether_it_runs_or_not_and_links_lead_nowhere_else()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        string here = Directory.CreateDirectory(Path.Combine(server.Folder, "here")).FullName;
        Directory.CreateDirectory(here + "/site/sub");
        await File.WriteAllTextAsync(here + "/site/sub/page", "hello");
        File.CreateSymbolicLink(here + "/site/link", "sub/page");
        await File.WriteAllTextAsync(here + "/secret", "of the machine");
        await BerthAsync(
            server, "run", "-d", "--name", "web", "demo/busybox", "sh", "-c",
            $"ln -s {here}/secret /out; mkdir /d; ln -s {here} /d/away; exec sleep 600");

        await BerthAsync(server, "cp", here + "/site", "web:/srv");
        string listed = await BerthAsync(server, "exec", "web", "cat", "/srv/link");
        await BerthAsync(server, "stop", "-t", "0", "web");
        await BerthAsync(server, "cp", "web:/srv", here + "/back");
        ToolResult away = await server.BerthAsync("cp", "web:/out/", here + "/stolen");
        ToolResult through = await server.BerthAsync("cp", here + "/site/sub/page", "web:/d/away/planted");
        ToolResult none = await server.BerthAsync("cp", "web:/none", here);

        Assert.Equal("hello", listed);
        Assert.Equal("hello", await File.ReadAllTextAsync(here + "/back/sub/page"));
        Assert.Equal("sub/page", new FileInfo(here + "/back/link").LinkTarget);
        Assert.NotEqual(0, away.ExitCode);
        Assert.NotEqual(0, through.ExitCode);
        Assert.False(File.Exists(here + "/stolen") || File.Exists(here + "/planted"));
        Assert.Equal(66, none.ExitCode);
        await BerthAsync(server, "rm", "web");
        await EndAsync(server);
    }

    [Fact]
    public async Task Mounts_are_what_was_asked_for_and_only_what_is_allowed()
    {
        string shared = Directory.CreateTempSubdirectory("berth-shared-").FullName;
        try
        {
            await using ServerProcess server = await BusyboxServer.StartAsync("--mount-allow", shared);
            await File.WriteAllTextAsync(shared + "/f", "shared");
            File.CreateSymbolicLink(shared + "/etc", "/etc");

            string seen = await BerthAsync(
                server, "run", "--rm", "--read-only", "-v", shared + ":/s:ro", "--tmpfs", "/tmp:size=1m",
                "demo/busybox", "sh", "-c",
                "cat /s/f; echo x > /s/g; echo x > /x; echo fine > /tmp/x; cat /tmp/x");
            ToolResult forbidden = await server.BerthAsync("run", "--rm", "-v", "/etc:/e", "demo/busybox", "true");
            ToolResult link = await server.BerthAsync("run", "--rm", "-v", shared + "/etc:/e", "demo/busybox", "true");

            Assert.Equal("sharedfine", seen);
            Assert.Equal(["etc", "f"], Directory.GetFileSystemEntries(shared).Select(Path.GetFileName).Order());
            Assert.Equal(77, forbidden.ExitCode);
            Assert.Contains("mount-allow", forbidden.Error, StringComparison.Ordinal);
            Assert.Contains("without following links", link.Error, StringComparison.Ordinal);
            await EndAsync(server);
        }
        finally
        {
            Directory.Delete(shared, recursive: true);
        }
    }

    [Fact]
    public async Task Health_is_watched_pauses_hold_and_what_it_uses_is_told()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(
            server, "run", "-d", "--name", "web", "--health-cmd", "cat /ok", "--health-interval", "50ms",
            "--health-retries", "2", "demo/busybox", "sh", "-c", "echo > /ok; exec sleep 600");

        await HealthIsAsync(server, "healthy");
        await BerthAsync(server, "exec", "web", "rm", "/ok");
        await HealthIsAsync(server, "unhealthy");
        await BerthAsync(server, "pause", "web");
        ToolResult paused = await server.BerthAsync("exec", "web", "true");
        await BerthAsync(server, "unpause", "web");

        Assert.Equal(75, paused.ExitCode);
        Assert.Contains("sleep 600", await BerthAsync(server, "top", "web"), StringComparison.Ordinal);
        Assert.Contains("256 MiB", await BerthAsync(server, "stats", "--no-stream", "web"), StringComparison.Ordinal);
        await BerthAsync(server, "rm", "-f", "web");
        await EndAsync(server);
    }

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static async Task<JsonElement> InspectAsync(ServerProcess server, string name) =>
        JsonDocument.Parse(await BerthAsync(server, "inspect", name)).RootElement[0];

    private static Task IsAsync(ServerProcess server, string name, string state) => Condition.HoldsAsync(
        $"{name} is {state}",
        async () => (await InspectAsync(server, name)).GetProperty("state").GetString() is var seen && seen == state
            ? null
            : seen);

    private static Task HealthIsAsync(ServerProcess server, string status) => Condition.HoldsAsync(
        $"it is {status}",
        async () => (await InspectAsync(server, "web")).GetProperty("health").GetProperty("status").GetString()
            is var seen && seen == status ? null : seen);

    /// <summary>Stops the server: neither on the machine nor in its data is anything left of its containers.</summary>
    private static async Task EndAsync(ServerProcess server)
    {
        await ServerTraces.AreOnlySandboxesAsync(server);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
        string layers = Path.Combine(server.Data, "containers");
        Assert.False(Directory.Exists(layers) && Directory.EnumerateFileSystemEntries(layers).Any());
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(server.Data, "container-logs")));
    }
}
