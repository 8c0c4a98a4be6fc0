using System.Net;
using System.Text.Json;
using Berth.IntegrationTests.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Calls, tasks and containers with further OCI runtimes, through the executable.</summary>
[Collection("server")]
public sealed class RuntimeTests
{
    private static readonly string[] Flags =
    [
        "--pool-memory", "0", "--runtime", FurtherRuntimes.RunscSetting, "--runtime", FurtherRuntimes.RuncSetting,
    ];

    public static TheoryData<string> Runtimes => ["runsc", "other-runc"];

    [Theory]
    [MemberData(nameof(Runtimes))]
    public async Task A_call_has_its_streams_code_user_and_variables(string runtime)
    {
        await using ServerProcess server = await StartAsync();

        ToolResult result = await server.BerthAsync(
            "in"u8.ToArray(), "run", "--runtime", runtime, "-u", "5:6", "-e", "A=b", "-w", "/made/here",
            "demo/busybox", "sh", "-c", "cat; echo; id -u; id -g; echo $A $PWD; echo err >&2; exit 7");

        Assert.Equal("in\n5\n6\nb /made/here\n", result.Text);
        Assert.StartsWith("err\n", result.Error, StringComparison.Ordinal);
        Assert.Equal(7, result.ExitCode);
        await EndAsync(server);
    }

    [Theory]
    [MemberData(nameof(Runtimes))]
    public async Task Its_limits_hold(string runtime)
    {
        await using ServerProcess server = await StartAsync();

        ToolResult slow = await server.BerthAsync(
            "run", "--runtime", runtime, "--timeout", "1s", "demo/busybox", "sleep", "600");
        ToolResult large = await server.BerthAsync(
            "run", "--runtime", runtime, "-m", "128Mi", "demo/busybox", "sh", "-c",
            "head -c 300000000 /dev/zero | tail");
        ToolResult loud = await server.BerthAsync(
            "run", "--runtime", runtime, "--output-limit", "1000", "demo/busybox", "yes");
        ToolResult forking = await server.BerthAsync(
            "run", "--runtime", runtime, "--pids-limit", "16", "--timeout", "20s", "demo/busybox", "sh", "-c",
            "i=0; while [ $i -lt 500 ]; do sleep 600 & i=$((i + 1)); done; echo all");

        Assert.Contains("did not end before its deadline", slow.Error, StringComparison.Ordinal);
        Assert.Contains("reached its memory limit of 128 MiB", large.Error, StringComparison.Ordinal);
        Assert.Contains("more output than allowed", loud.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("all", forking.Text, StringComparison.Ordinal);
        await EndAsync(server);
    }

    [Theory]
    [MemberData(nameof(Runtimes))]
    public async Task A_container_is_entered_paused_asked_to_end_and_started_again(string runtime)
    {
        await using ServerProcess server = await StartAsync();
        (await server.BerthAsync(
            "run", "-d", "--name", "box", "--runtime", runtime, "demo/busybox", "sh", "-c",
            "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done")).Succeed();
        await Condition.HoldsAsync(
            "the program runs",
            async () => (await server.BerthAsync("logs", "box")).Text is "up\n" ? null : "no output");

        ToolResult entered = await server.BerthAsync(
            "typed"u8.ToArray(), "exec", "-i", "box", "sh", "-c", "cat; exit 3");
        ToolResult wrong = await server.BerthAsync("exec", "box", "/no/such");
        string processes = (await server.BerthAsync("top", "box")).Succeed();
        (await server.BerthAsync("pause", "box")).Succeed();
        (await server.BerthAsync("unpause", "box")).Succeed();
        (await server.BerthAsync("cp", "/etc/hostname", "box:/copied")).Succeed();
        (await server.BerthAsync("stop", "box")).Succeed();

        Assert.Equal(("typed", 3), (entered.Text, entered.ExitCode));
        Assert.Contains("'/no/such' does not exist in the image", wrong.Error, StringComparison.Ordinal);
        Assert.Contains("sh", processes, StringComparison.Ordinal);
        Assert.Equal("up\nbye\n", (await server.BerthAsync("logs", "box")).Text);
        string told = (await server.BerthAsync("inspect", "box")).Succeed();
        Assert.Contains($"\"runtime\": \"{runtime}\"", told, StringComparison.Ordinal);
        Assert.Contains("\"exitCode\": 5", told, StringComparison.Ordinal);
        (await server.BerthAsync("start", "box")).Succeed();
        Assert.Equal(
            File.ReadAllText("/etc/hostname"), (await server.BerthAsync("exec", "box", "cat", "/copied")).Text);
        (await server.BerthAsync("rm", "-f", "box")).Succeed();
        await EndAsync(server);
    }

    [Theory]
    [MemberData(nameof(Runtimes))]
    public async Task A_program_on_a_terminal_is_interrupted_by_its_keys(string runtime)
    {
        await using ServerProcess server = await StartAsync();
        Dictionary<string, string> variables = new(server.Variables) { ["TERM"] = "xterm" };

        using Pty pty = new(
            $"'{ServerProcess.Executable}' run --rm -it --runtime {runtime} demo/busybox sh -c "
            + "'test -t 0 && echo is a terminal; trap \"echo interrupted; exit 4\" INT; echo up; "
            + "while :; do sleep 0.1; done'",
            variables);
        await pty.ShowsAsync("up");
        pty.PressControlC();

        Assert.Equal(4, await pty.EndsAsync());
        Assert.Contains("is a terminal", pty.Shown, StringComparison.Ordinal);
        Assert.Contains("interrupted", pty.Shown, StringComparison.Ordinal);
        await EndAsync(server);
    }

    [Theory]
    [MemberData(nameof(Runtimes))]
    public async Task A_task_survives_the_death_of_the_server_and_nothing_of_its_sandbox_does(string runtime)
    {
        await using ServerProcess server = await StartAsync();
        string id = (await server.BerthAsync(
            "task", "submit", "--runtime", runtime, "demo/busybox", "sh", "-c",
            "echo up >&2; sleep 2; echo done")).Succeed();
        await Condition.HoldsAsync("the program runs", async () =>
            (await server.BerthAsync("logs", id)).Text.Contains("up", StringComparison.Ordinal) ? null : "no output");
        HashSet<string> before = ServerTraces.ControlGroups(server);

        await server.KillAsync();
        await server.StartAsync(Flags);
        ToolResult result = await server.BerthAsync("task", "result", "--wait", id);

        Assert.Equal("done\n", result.Text);
        Assert.Single(before);
        Assert.Empty(ServerTraces.ControlGroups(server).Intersect(before));
        await ServerTraces.AreOnlySandboxesAsync(server);
        await EndAsync(server);
    }

    [Fact]
    public async Task Nothing_waits_to_be_reaped_after_runs_on_a_kernel_of_their_own()
    {
        await using ServerProcess server = await StartAsync();

        for (int i = 0; i < 3; i++)
        {
            (await server.BerthAsync("run", "-q", "--runtime", "runsc", "demo/busybox", "sh", "-c", "true | true"))
                .Succeed();
        }

        await Condition.HoldsAsync("the server has no ended children", () => !EndedChildren(server.Pid).Any());
        await EndAsync(server);
    }

    [Fact]
    public async Task A_name_that_is_not_registered_is_refused_with_those_that_are()
    {
        await using ServerProcess server = await StartAsync();

        ToolResult call = await server.BerthAsync("run", "--runtime", "kata", "demo/busybox");
        ToolResult container = await server.BerthAsync("create", "--runtime", "kata", "demo/busybox");
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/busybox");
        request.Headers.Add("Berth-Runtime", "kata");
        using HttpResponseMessage answer = await server.Http.SendAsync(request);

        Assert.Contains("this server has runc, runsc, other-runc", call.Error, StringComparison.Ordinal);
        Assert.Contains("runtime = 'kata' can't be used", container.Error, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        using JsonDocument problem = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        Assert.Equal("invalid_request", problem.RootElement.GetProperty("code").GetString());
        await EndAsync(server);
    }

    [Theory]
    [InlineData("runsc=/no/such/runsc", "/no/such/runsc does not exist")]
    [InlineData("x=/bin/false", "/bin/false is no working OCI runtime")]
    [InlineData("runc=/usr/sbin/runc", "each name once")]
    public async Task A_server_does_not_start_with_a_runtime_that_does_not_work(string setting, string why)
    {
        await using ServerProcess server = new();

        server.Begin("--runtime", setting);
        await server.EndsAsync();

        await Condition.HoldsAsync(
            "the server says why", () => server.Log.Contains(why, StringComparison.Ordinal));
        Assert.Empty(HostTraces.Of(server.Instance));
    }

    private static Task<ServerProcess> StartAsync()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/runsc"), "gVisor is missing: apt-get install runsc.");
        return BusyboxServer.StartAsync(Flags);
    }

    private static async Task EndAsync(ServerProcess server)
    {
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static IEnumerable<string> EndedChildren(int parent) => Directory.EnumerateDirectories("/proc")
        .Where(d => int.TryParse(Path.GetFileName(d), out _))
        .Select(d => ReadStat(d + "/stat"))
        .Where(stat => stat.Contains($") Z {parent} ", StringComparison.Ordinal));

    private static string ReadStat(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";
        }
    }
}
