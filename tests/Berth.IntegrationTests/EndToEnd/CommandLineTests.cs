using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What a new user does, with the published executable and tools that nobody here wrote.</summary>
[Collection("server")]
public sealed class CommandLineTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private ServerProcess Server => fixture.Server;

    [Fact]
    public async Task An_image_pushed_by_skopeo_answers_curl()
    {
        byte[] body = new byte[300_000];
        new Random(1).NextBytes(body);

        ToolResult result = await Tool.RunAsync(
            "curl",
            [
                "-sS", "--fail-with-body", "--data-binary", "@-", "-H", $"Authorization: Bearer {Server.Token}",
                $"{Server.Address}/v1/call/demo/busybox",
            ],
            body);

        result.Succeed();
        Assert.Equal(body, result.Output);
    }

    [Fact]
    public async Task What_goes_to_one_file_stands_there_in_the_order_it_was_written()
    {
        string file = Path.Combine(Server.Folder, "one-file");

        await Server.ShellAsync(
            "{ echo a; echo -n b | $BERTH run demo/busybox; echo; $BERTH run demo/nothing; echo c; } "
            + $"> {file} 2>&1");

        string[] lines = await File.ReadAllLinesAsync(file, TestContext.Current.CancellationToken);
        Assert.Equal(["a", "b"], lines[..2]);
        Assert.StartsWith("berth: ", lines[2], StringComparison.Ordinal);
        Assert.Equal("c", lines[^1]);
    }

    [Fact]
    public async Task An_image_comes_back_from_the_registry_as_it_went_in()
    {
        string copy = Path.Combine(Server.Folder, "copy");

        (
            await fixture.SkopeoAsync(
                "copy", $"docker://{Server.Host}/demo/busybox:latest", $"oci:{copy}:busybox")).Succeed();

        Assert.Equal(DigestOf(fixture.Layout), DigestOf(copy));
    }

    [Fact]
    public async Task Run_passes_input_output_and_variables()
    {
        ToolResult upper = await Server.BerthAsync(
            "hello"u8.ToArray(), "run", "-e", "A=b c", "demo/busybox", "sh", "-c", "tr a-z A-Z; echo \" $A\"");

        Assert.Equal(("HELLO b c\n", 0), (upper.Text, upper.ExitCode));
    }

    [Fact]
    public async Task Run_shows_the_programs_standard_error_and_says_why_it_failed()
    {
        ToolResult failed = await Server.BerthAsync(
            "run", "demo/busybox", "sh", "-c", "echo out; echo oh dear >&2; exit 3");
        ToolResult fine = await Server.BerthAsync("run", "demo/busybox", "sh", "-c", "echo by the way >&2");

        Assert.Equal((3, "out\n"), (failed.ExitCode, failed.Text));
        Assert.StartsWith("oh dear\n", failed.Error);
        Assert.Contains("berth why", failed.Error);
        Assert.Equal((0, "by the way\n"), (fine.ExitCode, fine.Error));
    }

    [Theory]
    [InlineData(124, "run", "--timeout", "500ms", "demo/busybox", "sleep", "60")]
    [InlineData(127, "run", "--entrypoint", "/no/such/program", "demo/busybox")]
    [InlineData(137, "run", "--memory", "16Mi", "demo/busybox", "sh", "-c", "x=$(tr '\\0' x < /dev/zero)")]
    [InlineData(66, "run", "demo/nothing")]
    [InlineData(64, "run", "Not/An/Image")]
    [InlineData(64, "run", "--memory", "much", "demo/busybox")]
    public async Task Each_failure_has_its_exit_code(int expected, params string[] arguments)
    {
        ToolResult result = await Server.BerthAsync(arguments);

        Assert.True(expected == result.ExitCode, $"{result.ExitCode} instead of {expected}: {result.Error}");
        Assert.Contains("berth: ", result.Error);
    }

    [Theory]
    [InlineData("$BERTH run demo/busybox yes | head -n 1; echo ${PIPESTATUS[0]}", "y\n141\n", "")]
    [InlineData("$BERTH run demo/busybox echo hi >/dev/full; echo $?", "74\n", "Standard output can't be written")]
    [InlineData("$BERTH run demo/busybox sh -c 'echo fine; echo lost >&2' 2>&-; echo $?", "fine\n0\n", "")]
    [InlineData("$BERTH run demo/busybox echo hi >&-; echo $?", "74\n", "Standard output can't be written")]
    [InlineData("BERTH_TOKEN=$'a\\nb' $BERTH ps; echo $?", "77\n", "characters that no token has")]
    public async Task Streams_that_are_closed_or_full_are_told_as_what_they_are(
        string script, string output, string told)
    {
        ToolResult result = await Server.ShellAsync(script);

        Assert.Equal(output, result.Text);
        Assert.Contains(told, result.Error);
    }

    [Fact]
    public async Task A_task_is_handed_in_waited_for_and_fetched()
    {
        string id = (await Server.BerthAsync(
            "data"u8.ToArray(
                ), "task", "submit", "demo/busybox", "sh", "-c", "echo log >&2; cat; echo more")).Succeed();

        string ended = (await Server.BerthAsync("task", "wait", id)).Succeed();
        string result = (await Server.BerthAsync("task", "result", id)).Succeed();
        string logs = (await Server.BerthAsync("logs", id)).Succeed();
        string why = (await Server.BerthAsync("why", id)).Succeed();
        JsonElement run = JsonDocument.Parse(
            (await Server.BerthAsync("task", "get", "-o", "json", id)).Succeed()).RootElement;

        Assert.Equal($"{id} succeeded", ended);
        Assert.Equal("datamore", result);
        Assert.Equal("log", logs);
        Assert.Contains("succeeded", why);
        Assert.True(run.GetProperty("usage").GetProperty("peakMemoryBytes").GetInt64() > 0);
        Assert.Equal(4, run.GetProperty("inputBytes").GetInt64());
        Assert.Contains(id, (await Server.BerthAsync("task", "ls", "-q", "--state", "succeeded")).Succeed());
    }

    [Fact]
    public async Task A_running_task_is_followed_and_cancelled()
    {
        string id = (await Server.BerthAsync(
            "task", "submit", "demo/busybox", "sh", "-c", "echo started >&2; exec sleep 1000")).Succeed();
        using Process follow = Tool.Start(ServerProcess.Executable, ["logs", "-f", id], Server.Variables);
        Assert.Equal("started", await follow.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        Assert.Contains(id, (await Server.BerthAsync("sandbox", "ls")).Succeed());

        (await Server.BerthAsync("task", "cancel", id)).Succeed();
        ToolResult waited = await Server.BerthAsync("task", "wait", id);
        await follow.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(($"{id} canceled\n", 130), (waited.Text, waited.ExitCode));
        Assert.Equal(0, follow.ExitCode);
    }

    [Fact]
    public async Task Interrupting_a_run_ends_its_program()
    {
        using Process run = Tool.Start(
            ServerProcess.Executable, [
                "run", "--label", "test=interrupt", "demo/busybox", "sh", "-c", "sleep 1000"],
            Server.Variables);
        run.StandardInput.Close();
        await Condition.HoldsAsync("the program runs", async () =>
            (await Server.BerthAsync("task", "ls", "-a", "-q", "--label", "test=interrupt", "--state", "running"))
                .Succeed() is "" ? "no run" : null);

        ServerProcess.Signal(run.Id, 2);
        await run.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(130, run.ExitCode);
        string id = (await Server.BerthAsync("task", "ls", "-a", "-q", "--label", "test=interrupt")).Succeed();
        Assert.StartsWith(id, (await Server.BerthAsync("task", "wait", "--timeout", "30s", id)).Text);
    }

    [Fact]
    public async Task A_folder_becomes_an_image_and_an_image_an_archive()
    {
        string folder = Path.Combine(Server.Folder, "app");
        Directory.CreateDirectory(Path.Combine(folder, "bin"));
        File.Copy("/bin/busybox", Path.Combine(folder, "bin/busybox"));
        string archive = Path.Combine(Server.Folder, "app.tar");

        string first = (await Server.BerthAsync(
            "image", "pack", "-q", "--entrypoint", "/bin/busybox", "demo/packed", folder)).Succeed();
        string again = (await Server.BerthAsync(
            "image", "pack", "-q", "--entrypoint", "/bin/busybox", "demo/packed2", folder)).Succeed();
        (await Server.BerthAsync("image", "export", "demo/packed", archive)).Succeed();
        (await Server.BerthAsync("image", "import", archive, "demo/imported")).Succeed();

        Assert.Equal(first, again);
        Assert.Equal("3", (await Server.BerthAsync("run", "demo/imported", "expr", "1", "+", "2")).Succeed());
        Assert.Contains("demo/packed:latest", (await Server.BerthAsync("image", "ls", "-q")).Succeed());
        (await Server.BerthAsync("image", "rm", "demo/packed2")).Succeed();
        Assert.DoesNotContain("demo/packed2", (await Server.BerthAsync("image", "ls", "-q")).Succeed());
    }

    [Fact]
    public async Task A_token_may_do_what_its_role_allows_until_it_is_removed()
    {
        string secret = (await Server.BerthAsync("token", "create", "--name", "edge", "--role", "pull")).Succeed();
        string id = (await Server.BerthAsync("token", "ls", "-o", "json")).Succeed() is var json
            ? JsonDocument.Parse(json).RootElement.GetProperty("tokens").EnumerateArray()
                .Single(t => t.GetProperty("name").GetString() == "edge").GetProperty("id").GetString()!
            : "";
        Dictionary<string, string> edge = new(Server.Variables) { ["BERTH_TOKEN"] = secret };

        ToolResult looks = await Tool.RunAsync(ServerProcess.Executable, ["image", "ls"], environment: edge);
        ToolResult runs = await Tool.RunAsync(ServerProcess.Executable, ["run", "demo/busybox"], environment: edge);
        (await Server.BerthAsync("token", "rm", id)).Succeed();
        ToolResult after = await Tool.RunAsync(ServerProcess.Executable, ["image", "ls"], environment: edge);

        Assert.Equal((0, 77, 77), (looks.ExitCode, runs.ExitCode, after.ExitCode));
    }

    [Fact]
    public async Task A_megabyte_of_output_keeps_its_bytes_while_input_flows()
    {
        byte[] body = new byte[20_000_000];
        new Random(2).NextBytes(body);

        ToolResult result = await Server.BerthAsync(body, "run", "demo/busybox", "cat");

        result.Succeed();
        Assert.Equal(body, result.Output);
    }

    internal static string DigestOf(string layout) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(layout, "index.json")))
        .RootElement.GetProperty("manifests")[0].GetProperty("digest").GetString()!;
}
