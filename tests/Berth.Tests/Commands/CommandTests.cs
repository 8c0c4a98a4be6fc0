using Berth.Api.Errors;
using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary>Commands against a scripted server: what they ask, print and return.</summary>
public sealed class CommandTests
{
    private const string Id = "01jd3v8k2m7q9x4r5t6w0y1z2b";

    private const string Run =
        """
        {"id":"01jd3v8k2m7q9x4r5t6w0y1z2b","kind":"task","state":"failed","image":"demo/a:latest",
        "imageDigest":"sha256:00","createdAt":"2026-01-02T03:00:05Z","attempts":1,"reason":"exit_code","exitCode":3,
        "message":"The program ended with exit code 3.","labels":{},
        "usage":{"cpuUserMs":12,"cpuSystemMs":3.5,"peakMemoryBytes":3145728,"bytesIn":10,"bytesOut":20},
        "timings":{"queueMs":0.1,"prepareMs":0,"startMs":1.2,"runMs":20,"totalMs":21.3}}
        """;

    [Fact]
    public async Task Tasks_are_listed_as_a_table()
    {
        using CommandHarness harness = new(("GET /v1/runs?kind=task&limit=50", $$"""{"runs":[{{Run}}]}"""));

        int exitCode = await harness.RunAsync("task ls");

        Assert.Equal(0, exitCode);
        Assert.Equal(
            """
            ID                           KIND   STATE    IMAGE           CREATED          TIME   DETAIL
            01jd3v8k2m7q9x4r5t6w0y1z2b   task   failed   demo/a:latest   4 minutes ago   21 ms   exit code 3

            """,
            harness.Output);
    }

    [Theory]
    [InlineData(true, null, null, true)]
    [InlineData(true, "", null, true)]
    [InlineData(true, "1", null, false)]
    [InlineData(true, null, "dumb", false)]
    [InlineData(false, null, null, false)]
    public async Task Colours_are_for_terminals_that_want_them(
        bool onTerminal, string? noColor, string? terminal, bool colored)
    {
        using CommandHarness harness = new(("GET /v1/runs?kind=task&limit=50", $$"""{"runs":[{{Run}}]}"""))
        {
            OnTerminal = onTerminal,
        };
        harness.Variables["NO_COLOR"] = noColor!;
        harness.Variables["TERM"] = terminal!;

        await harness.RunAsync("task ls");
        await harness.RunAsync($"task get {Id}");

        Assert.Equal(colored, harness.Output.Contains("\e[31mfailed\e[0m", StringComparison.Ordinal));
        Assert.Equal(colored ? "\e[31mberth:\e[0m Nothing here.\n" : "berth: Nothing here.\n", harness.Error);
        Assert.Equal(colored, (harness.Output + harness.Error).Contains('\e'));
    }

    [Theory]
    [InlineData("start one two")]
    [InlineData("stop one two")]
    [InlineData("restart one two")]
    [InlineData("kill one two")]
    [InlineData("pause one two")]
    [InlineData("unpause one two")]
    [InlineData("rm one two")]
    [InlineData("wait one two")]
    [InlineData("volume rm one two")]
    [InlineData("token rm one two")]
    [InlineData("repository rm one two")]
    [InlineData("image rm one two")]
    [InlineData("task cancel one two")]
    public async Task Of_several_each_is_seen_to_and_each_refusal_told(string line)
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync(line);

        Assert.Equal(ErrorCatalog.Find(ErrorCode.NotFound).ExitCode, exitCode);
        Assert.Contains(harness.Server.Requests, r => r.Contains("one", StringComparison.Ordinal));
        Assert.Contains(harness.Server.Requests, r => r.Contains("two", StringComparison.Ordinal));
        Assert.Equal("berth: Nothing here.\nberth: Nothing here.\n", harness.Error);
        Assert.Empty(harness.Output);
    }

    [Fact]
    public async Task A_server_that_lets_nobody_in_is_asked_once()
    {
        const string Refusal =
            """401 {"type":"about:blank","title":"?","status":401,"detail":"Log in.","code":"unauthorized"}""";
        using CommandHarness harness = new(("DELETE /v1/volumes/one", Refusal));

        int exitCode = await harness.RunAsync("volume rm one two");

        Assert.Equal(ErrorCatalog.Find(ErrorCode.Unauthorized).ExitCode, exitCode);
        Assert.Single(harness.Server.Requests);
    }

    [Fact]
    public async Task A_list_goes_on_over_pages_and_stops_at_its_limit()
    {
        using CommandHarness harness = new(
            ("GET /v1/runs?kind=task&limit=2", $$"""{"runs":[{{Run}}],"next":"c1"}"""),
            ("GET /v1/runs?kind=task&limit=1&cursor=c1", $$"""{"runs":[{{Run}}],"next":"c2"}"""));

        int exitCode = await harness.RunAsync("task ls -q -n 2");

        Assert.Equal(0, exitCode);
        Assert.Equal($"{Id}\n{Id}\n", harness.Output);
    }

    [Fact]
    public async Task Json_is_an_array_with_the_servers_names()
    {
        using CommandHarness harness = new(("GET /v1/runs?kind=task&limit=50", $$"""{"runs":[{{Run}}]}"""));

        await harness.RunAsync("task ls -o json");

        using var document = System.Text.Json.JsonDocument.Parse(harness.Output);
        Assert.Equal("failed", document.RootElement[0].GetProperty("state").GetString());
    }

    [Fact]
    public async Task Waiting_for_a_failed_task_gives_the_failures_exit_code()
    {
        using CommandHarness harness = new(($"GET /v1/runs/{Id}?wait=30s", Run));

        int exitCode = await harness.RunAsync($"task wait {Id}");

        Assert.Equal(1, exitCode);
        Assert.Equal($"{Id} failed\n", harness.Output);
    }

    [Fact]
    public async Task Getting_a_task_tells_all_about_it()
    {
        using CommandHarness harness = new(($"GET /v1/runs/{Id}", Run));

        await harness.RunAsync($"task get {Id}");

        Assert.Equal(
            """
            Run          01jd3v8k2m7q9x4r5t6w0y1z2b
            Kind         task
            State        failed (exit code)
            Exit code    3
            Message      The program ended with exit code 3.
            Image        demo/a:latest
            Digest       sha256:00
            Attempts     1
            Created      2026-01-02 03:00:05.000Z
            Time         21 ms: queue 0.1 ms, prepare 0.0 ms, start 1.2 ms, run 20 ms
            CPU          12 ms user, 3.5 ms system
            Memory       3 MiB at most
            Traffic      10 B in, 20 B out

            """,
            harness.Output);
    }

    [Theory]
    [InlineData("unauthorized", 401, 77)]
    [InlineData("run_not_found", 404, 66)]
    [InlineData("queue_full", 429, 75)]
    public async Task A_refusal_is_one_sentence_and_its_exit_code(string code, int status, int expected)
    {
        using CommandHarness harness = new((
            $"GET /v1/runs/{Id}",
            $$"""{{status}} {"type":"t","title":"T","status":{{status}},"detail":"What was.","code":"{{code}}"}"""));

        int exitCode = await harness.RunAsync($"task get {Id}");

        Assert.Equal(expected, exitCode);
        Assert.Equal("", harness.Output);
        Assert.Equal("berth: What was.\n", harness.Error);
    }

    [Fact]
    public async Task A_mistyped_command_is_answered_with_the_nearest()
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync("imgae ls");

        Assert.Equal(64, exitCode);
        Assert.StartsWith("berth: there is no command 'berth imgae'. Did you mean 'berth image'?", harness.Error);
    }

    [Fact]
    public async Task A_mistyped_option_is_answered_with_the_nearest()
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync("run --memmory 1Gi demo/a");

        Assert.Equal(64, exitCode);
        Assert.StartsWith("berth: 'berth run' has no option '--memmory'. Did you mean '--memory'?", harness.Error);
        Assert.Empty(harness.Server.Requests);
    }

    [Fact]
    public async Task A_noun_alone_shows_its_page_on_standard_error()
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync("task");

        Assert.Equal(64, exitCode);
        Assert.Equal("", harness.Output);
        Assert.Contains("Usage: berth task COMMAND", harness.Error);
    }

    [Fact]
    public async Task Pulling_shows_the_servers_progress_and_prints_the_digest()
    {
        using CommandHarness harness = new((
            "POST /v1/images/pull",
            """
            {"status":"copying","layer":"sha256:1","done":5,"total":10}
            {"status":"done","digest":"sha256:ab"}
            """));

        int exitCode = await harness.RunAsync("image pull registry.example.org/team/app:2");

        Assert.Equal(0, exitCode);
        Assert.Equal("team/app:2 sha256:ab\n", harness.Output);
        Assert.Contains("\"source\":\"registry.example.org/team/app:2\"", harness.Server.Bodies[0]);
    }

    [Fact]
    public async Task A_pull_that_fails_on_the_way_is_a_failure()
    {
        using CommandHarness harness = new(
            ("POST /v1/images/pull", """{"status":"failed","error":"The disk is full."}"""));

        int exitCode = await harness.RunAsync("image pull registry.example.org/team/app:2");

        Assert.Equal(69, exitCode);
        Assert.Equal("berth: The disk is full.\n", harness.Error);
    }

    [Fact]
    public async Task Help_on_a_command_is_its_page()
    {
        using CommandHarness asked = new();
        using CommandHarness option = new();

        await asked.RunAsync("help task submit");
        await option.RunAsync("task submit --help");

        Assert.Equal(option.Output, asked.Output);
        Assert.Contains("Usage: berth task submit [OPTIONS] IMAGE [ARGS...]", asked.Output);
    }

    [Theory]
    [InlineData("exit-codes", "'berth run' passes the program's own exit code on")]
    [InlineData("environment", "BERTH_HOST")]
    public async Task Help_explains_topics(string topic, string expected)
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync("help", topic);

        Assert.Equal(0, exitCode);
        Assert.Contains(expected, harness.Output);
    }

    [Fact]
    public async Task Verbose_says_which_server_and_whose_token()
    {
        using CommandHarness harness = new(($"GET /v1/runs/{Id}", Run));
        harness.Variables["BERTH_HOST"] = "berth.example.org";

        await harness.RunAsync($"task get --verbose {Id}");

        Assert.Equal(
            "Server http://berth.example.org:7070/ (from BERTH_HOST), token from BERTH_TOKEN.\n", harness.Error);
    }
}
