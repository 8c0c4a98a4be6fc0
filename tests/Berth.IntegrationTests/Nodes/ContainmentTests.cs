using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Programs that misbehave are held by their limits, told apart, and leave the node as it was.</summary>
[Collection("containers")]
public sealed class ContainmentTests(NodeFixture fixture)
{
    [Fact]
    public async Task A_full_writable_layer_is_the_programs_own_problem()
    {
        RunOutcome run = await ShellAsync("dd if=/dev/zero of=/big bs=1M count=40");

        Assert.Equal(EndReason.ExitCode, run.Report.Reason);
        Assert.Contains("No space left", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Endless_empty_files_meet_a_limit_too()
    {
        RunOutcome run = await ShellAsync("cd /tmp; i=0; while touch f$i; do i=$((i+1)); done; exit 9");

        Assert.Equal(9, run.Report.ExitCode);
        Assert.Contains("No space left", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Shared_memory_counts_towards_the_memory_limit()
    {
        SandboxSpec spec = fixture.Plain with { Limits = NodeFixture.Limits with { Memory = ByteSize.MiB(24) } };

        RunOutcome run = await fixture.Node.RunAsync(
            SandboxRuns.Spec(spec, "sh", "-c", "dd if=/dev/zero of=/dev/shm/big bs=1M count=40 && exit 9"));

        Assert.True(
            run.Report.Reason is EndReason.OutOfMemory || run.Error.Contains("No space left", StringComparison.Ordinal),
            $"{run.Report} {run.Error}");
    }

    [Fact]
    public async Task A_fork_bomb_ends_with_its_deadline_and_all_of_it()
    {
        RunOutcome run = await fixture.Node.RunAsync(
            SandboxRuns.Spec(fixture.Plain, "sh", "-c", "trap '' TERM; bomb() { bomb & bomb & wait; }; bomb; sleep 600")
                .Within(TimeSpan.FromSeconds(2)));
        RunOutcome next = await ShellAsync("echo still here");

        Assert.True(run.Report.Reason is EndReason.TimedOut or EndReason.ExitCode, run.Report.ToString());
        Assert.Equal("still here\n", next.Output);
    }

    [Fact]
    public async Task The_limit_of_processes_holds()
    {
        SandboxSpec spec = fixture.Plain with { Limits = NodeFixture.Limits with { Pids = 3 } };

        RunOutcome run = await fixture.Node.RunAsync(
            SandboxRuns.Spec(spec, "sh", "-c", "sleep 600 & sleep 600 & sleep 600 & echo all"));

        Assert.Contains("fork", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("all", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_started_in_the_background_ends_with_the_program()
    {
        RunOutcome run = await ShellAsync("setsid sh -c 'sleep 600 & sleep 600' >/dev/null 2>&1 & echo done");

        Assert.Equal(EndReason.Completed, run.Report.Reason);
        Assert.Equal("done\n", run.Output);
        Assert.True(run.Report.RunTime < TimeSpan.FromSeconds(60), $"It took {run.Report.RunTime}.");
    }

    [Fact]
    public async Task Closed_streams_are_not_the_end()
    {
        RunOutcome run = await ShellAsync("exec 0<&- 1>&- 2>&-; sleep 0.1; exit 4");

        Assert.Equal(4, run.Report.ExitCode);
        Assert.Empty(run.Output);
    }

    [Fact]
    public async Task A_flood_that_nobody_reads_ends_with_its_deadline()
    {
        await using IAttempt attempt = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "yes").Within(TimeSpan.FromMilliseconds(500)), CancellationToken.None);

        AttemptReport report = await attempt.Completion.WaitAsync(SandboxRuns.Patience);

        Assert.Equal(EndReason.TimedOut, report.Reason);
        Assert.True(report.Usage.BytesOut > 0);
    }

    [Fact]
    public async Task SIGTERM_lets_a_program_finish_within_its_grace()
    {
        AttemptSpec spec = SandboxRuns.Spec(
            fixture.Plain, "sh", "-c", "trap 'echo goodbye; exit 5' TERM; echo ready; while true; do sleep 0.01; done");
        await using IAttempt attempt = await fixture.Node.StartAsync(spec, CancellationToken.None);
        using var output = new StreamReader(attempt.Output);
        Assert.Equal("ready", await output.ReadLineAsync());

        attempt.Stop(EndReason.Canceled, TimeSpan.FromSeconds(30));
        string? last = await output.ReadLineAsync();
        AttemptReport report = await attempt.Completion.WaitAsync(SandboxRuns.Patience);

        Assert.Equal("goodbye", last);
        Assert.Equal(EndReason.Canceled, report.Reason);
        Assert.Equal(5, report.ExitCode);
    }

    [Fact]
    public async Task Very_small_limits_work()
    {
        SandboxSpec spec = fixture.Plain with
        {
            Limits = new SandboxLimits(ByteSize.MiB(8), CpuQuota.FromMillicores(100), 4, ByteSize.MiB(1)),
        };

        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(spec, "cat"), "small");

        Assert.Equal("small", run.Output);
        Assert.Equal(EndReason.Completed, run.Report.Reason);
    }

    [Fact]
    public async Task Usage_is_the_programs_own()
    {
        RunOutcome idle = await ShellAsync("true");
        RunOutcome busy = await ShellAsync("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");

        TimeSpan busyCpu = busy.Report.Usage.CpuUser + busy.Report.Usage.CpuSystem;
        Assert.True(busyCpu > idle.Report.Usage.CpuUser + idle.Report.Usage.CpuSystem, $"{idle.Report} {busy.Report}");
        Assert.True(busyCpu <= busy.Report.RunTime * 2 + TimeSpan.FromMilliseconds(50), busy.Report.ToString());
        Assert.InRange(busy.Report.Usage.PeakMemory.Bytes, 1, NodeFixture.Limits.Memory.Bytes);
    }

    private Task<RunOutcome> ShellAsync(string script) =>
        fixture.Node.RunAsync(SandboxRuns.Spec(fixture.Plain, "sh", "-c", script));
}
