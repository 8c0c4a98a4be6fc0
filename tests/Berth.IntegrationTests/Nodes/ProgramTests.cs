using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>What the image and the order say about the program reaches it.</summary>
[Collection("containers")]
public sealed class ProgramTests(NodeFixture fixture)
{
    [Fact]
    public async Task The_images_own_command_runs_when_none_is_ordered()
    {
        AttemptSpec spec = SandboxRuns.Spec(fixture.Plain) with { Command = null };

        RunOutcome run = await fixture.Node.RunAsync(spec, "through cat");

        Assert.Equal("through cat", run.Output);
    }

    [Fact]
    public async Task Arguments_replace_CMD_and_keep_ENTRYPOINT()
    {
        Digest image = fixture.Images.Add(
            "entry", new ContainerDefaults(Entrypoint: ["/bin/echo", "said"], Cmd: ["nothing"]),
            fixture.Images.PathOfLayer("tools"));

        RunOutcome own = await fixture.Node.RunAsync(SandboxRuns.Spec(fixture.Of(image)) with { Command = null });
        RunOutcome given = await fixture.Node.RunAsync(
            SandboxRuns.Spec(fixture.Of(image)) with { Command = null, Arguments = ["something"] });

        Assert.Equal("said nothing\n", own.Output);
        Assert.Equal("said something\n", given.Output);
    }

    [Fact]
    public async Task An_image_without_a_command_says_so()
    {
        Digest image = fixture.Images.Add("mute", new ContainerDefaults(), fixture.Images.PathOfLayer("tools"));

        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(fixture.Of(image)) with { Command = null });

        Assert.Equal(EndReason.EntryPointMissing, run.Report.Reason);
        Assert.Contains("ENTRYPOINT", run.Report.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Users_are_found_by_the_images_own_names()
    {
        AttemptSpec spec =
            SandboxRuns.Spec(fixture.Plain, "sh", "-c",
                "id -u; id -g; touch /tmp/mine && stat -c %u /tmp/mine; echo $HOME");

        RunOutcome run = await fixture.Node.RunAsync(spec with { User = "alice" });

        Assert.Equal("1234\n1235\n1234\n/home/alice\n", run.Output);
    }

    /// <summary>0 is SCHED_OTHER, 3 SCHED_BATCH (sched(7)).</summary>
    [Theory]
    [InlineData(false, "0")]
    [InlineData(true, "3")]
    public async Task Only_what_stands_ready_for_calls_lets_others_finish_first(bool isInstance, string policy)
    {
        AttemptSpec spec = SandboxRuns.Spec(fixture.Plain, "cat", "/proc/self/stat");

        RunOutcome run = await fixture.Node.RunAsync(spec with { IsInstance = isInstance });

        Assert.Equal(policy, SandboxRuns.PolicyOf(run.Output));
    }

    [Fact]
    public async Task A_program_beside_one_that_stands_ready_is_scheduled_as_any()
    {
        await using IAttempt attempt = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sleep", "60") with { IsInstance = true }, CancellationToken.None);
        await using IExecution beside = await attempt.ExecuteAsync(
            new ExecutionSpec(
                ["cat", "/proc/self/stat"], new Dictionary<string, string>(), null, null, null),
            CancellationToken.None);
        using StreamReader reader = new(beside.Output);

        Assert.Equal("0", SandboxRuns.PolicyOf(await reader.ReadToEndAsync().WaitAsync(SandboxRuns.Patience)));
    }

    [Fact]
    public async Task An_unknown_user_is_refused_and_never_root()
    {
        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(fixture.Plain, "id") with { User = "mallory" });

        Assert.Equal(EndReason.EntryPointMissing, run.Report.Reason);
        Assert.Contains("mallory", run.Report.Detail, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Fact]
    public async Task Any_user_can_open_its_streams_by_name()
    {
        AttemptSpec spec =
            SandboxRuns.Spec(fixture.Plain, "sh", "-c", "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr");

        RunOutcome run = await fixture.Node.RunAsync(spec with { User = "alice" }, "by name");

        Assert.Equal("by name", run.Output);
        Assert.Equal("e\n", run.Error);
    }

    [Fact]
    public async Task The_environment_is_the_images_with_the_orders_on_top()
    {
        AttemptSpec spec =
            SandboxRuns.Spec(fixture.Plain, "sh", "-c", "echo $COLOUR $SHAPE $PATH; hostname; echo $HOSTNAME; pwd");

        RunOutcome run = await fixture.Node.RunAsync(
            spec with
            {
                Environment =
                new Dictionary<string, string> { ["COLOUR"] = "red", ["SHAPE"] = "round" },
                WorkingDirectory =
                    "/work"
            });

        string[] lines = run.Output.Split('\n');
        Assert.Equal("red round /bin", lines[0]);
        Assert.Equal(lines[1], lines[2]);
        Assert.Equal("/work", lines[3]);
    }

    [Fact]
    public async Task Progress_is_read_from_its_own_descriptor()
    {
        await using IAttempt attempt = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sh", "-c", "echo '25 a quarter' >&3; echo nonsense >&3; echo 100 >&3"),
            CancellationToken.None);
        await attempt.Completion.WaitAsync(SandboxRuns.Patience);

        List<ProgressReport> reports = [];
        await foreach (ProgressReport report in attempt.Progress.ReadAllAsync())
        {
            reports.Add(report);
        }

        Assert.Equal([new(25, "a quarter"), new(100, null)], reports);
    }

    [Fact]
    public async Task A_second_start_finds_a_sandbox_ready()
    {
        Digest image = fixture.Images.Add(
            "often", new ContainerDefaults(Env: ["PATH=/bin"]), fixture.Images.PathOfLayer("tools"));
        SandboxSpec spec = fixture.Of(image);
        await fixture.Node.RunAsync(SandboxRuns.Spec(spec, "true"));
        await Eventually.BecomesTrueAsync(
            () => fixture.Node.Status()
                .Sandboxes.Any(s => s.State == "ready" && s.Image == image), "a sandbox stands ready");

        await using IAttempt attempt =
            await fixture.Node.StartAsync(SandboxRuns.Spec(spec, "true"), CancellationToken.None);

        Assert.True(attempt.Preparation.Prepared);
    }
}
