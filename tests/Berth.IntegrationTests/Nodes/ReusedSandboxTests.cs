using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Calls that have a sandbox one after the other or at once: what they share, and what never.</summary>
[Collection("containers")]
public sealed class ReusedSandboxTests(NodeFixture fixture)
{
    private const string Forever = "616";

    /// <summary>A family of its own, so that no other test's sandbox is met.</summary>
    private readonly SandboxSpec sandbox = fixture.PlainInner with
    {
        Family = Guid.CreateVersion7().ToString(),
        Reuse = 1,
    };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_call_finds_the_files_of_the_one_before_and_none_of_its_processes()
    {
        RunOutcome first = await RunAsync(
            "echo kept > /tmp/file; sleep 600 & (setsid sleep 601 &) ; nohup sh -c 'sleep 602 & sleep 603' "
            + ">/dev/null 2>&1 & trap '' HUP TERM; readlink /proc/self/ns/pid");
        RunOutcome second = await RunAsync("cat /tmp/file; ps -o args | grep -c '[s]leep'; readlink /proc/self/ns/pid");

        Assert.Equal(EndReason.Completed, first.Report.Reason);
        Assert.Equal($"kept\n0\n{first.Output}", second.Output);
    }

    [Fact]
    public async Task A_family_shares_nothing_with_another()
    {
        await RunAsync("echo kept > /tmp/file");

        RunOutcome other = await fixture.Node.RunAsync(
            SandboxRuns.Spec(sandbox with { Family = sandbox.Family + "2" }, "cat", "/tmp/file"));

        Assert.Equal(1, other.Report.ExitCode);
    }

    /// <summary>SCHED_BATCH (sched(7)), and 0 for what is started once.</summary>
    [Fact]
    public async Task Its_programs_let_others_finish_first()
    {
        RunOutcome again = await RunAsync("cat /proc/self/stat");
        RunOutcome once = await fixture.Node.RunAsync(
            SandboxRuns.Spec(fixture.PlainInner, "cat", "/proc/self/stat"));

        Assert.Equal("3", SandboxRuns.PolicyOf(again.Output));
        Assert.Equal("0", SandboxRuns.PolicyOf(once.Output));
    }

    [Fact]
    public async Task Each_call_is_told_what_it_used_itself()
    {
        RunOutcome busy = await RunAsync(
            "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; "
            + "dd if=/dev/zero of=/dev/null bs=8M count=1 2>/dev/null");
        RunOutcome idle = await RunAsync("true");

        Assert.True(
            idle.Report.Usage.CpuUser + idle.Report.Usage.CpuSystem
                < (busy.Report.Usage.CpuUser + busy.Report.Usage.CpuSystem) / 2,
            $"{busy.Report.Usage} and then {idle.Report.Usage}");
        Assert.True(busy.Report.Usage.PeakMemory.Bytes > 8 * 1024 * 1024, $"{busy.Report.Usage}");
        Assert.True(idle.Report.Usage.PeakMemory.Bytes < 8 * 1024 * 1024, $"{idle.Report.Usage}");
    }

    [Fact]
    public async Task What_a_program_left_running_is_in_its_own_usage()
    {
        RunOutcome run = await RunAsync(
            "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; touch /tmp/done; sleep 600' & "
            + "while [ ! -e /tmp/done ]; do sleep 0.01; done");

        Assert.True(run.Report.Usage.CpuUser + run.Report.Usage.CpuSystem > TimeSpan.FromMilliseconds(20),
            $"{run.Report.Usage}");
    }

    [Fact]
    public async Task Several_at_once_have_their_own_streams_and_one_sandbox()
    {
        SandboxSpec shared = sandbox with { Reuse = 4 };
        await using IAttempt held = await fixture.Node.StartAsync(SandboxRuns.Spec(shared, "cat"), Token);

        RunOutcome[] runs = await Task.WhenAll(Enumerable.Range(0, 3).Select(i => fixture.Node.RunAsync(
            SandboxRuns.Spec(shared, "sh", "-c", "cat; readlink /proc/self/ns/pid"), $"call {i}\n")));

        Assert.Single(runs.Select(r => r.Output.Split('\n')[1]).Distinct());
        Assert.Equal(["call 0", "call 1", "call 2"], runs.Select(r => r.Output.Split('\n')[0]));
        Assert.False(held.Completion.IsCompleted);
    }

    [Fact]
    public async Task A_deadline_ends_all_of_its_own_call_and_nothing_of_another()
    {
        SandboxSpec shared = sandbox with { Reuse = 2 };
        await using IAttempt other = await fixture.Node.StartAsync(
            SandboxRuns.Spec(shared, "sh", "-c", "read line; ps -o args | grep -c '[s]leep'"), Token);

        RunOutcome late = await fixture.Node.RunAsync(SandboxRuns.Spec(
            shared, "sh", "-c", "trap '' TERM; (setsid sleep 600 &); sleep 601; sleep 602")
            .Within(TimeSpan.FromMilliseconds(300)));

        Assert.Equal(EndReason.TimedOut, late.Report.Reason);
        Assert.False(other.Completion.IsCompleted);
        await other.Input.WriteAsync("go\n"u8.ToArray(), Token);
        using var output = new StreamReader(other.Output);
        Assert.Equal("0\n", await output.ReadToEndAsync(Token));
    }

    [Fact]
    public async Task After_a_crash_the_next_call_has_a_new_sandbox()
    {
        RunOutcome before = await RunAsync("echo kept > /tmp/file; readlink /proc/self/ns/pid; kill -SEGV $$");
        RunOutcome after = await RunAsync("cat /tmp/file; readlink /proc/self/ns/pid");

        Assert.Equal((EndReason.Signal, 11), (before.Report.Reason, before.Report.Signal));
        Assert.NotEqual(before.Output, after.Output);
        Assert.Contains("No such file", after.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exit_code_is_no_crash()
    {
        RunOutcome before = await RunAsync("readlink /proc/self/ns/pid; exit 3");
        RunOutcome after = await RunAsync("readlink /proc/self/ns/pid");

        Assert.Equal(3, before.Report.ExitCode);
        Assert.Equal(before.Output, after.Output);
    }

    [Fact]
    public async Task A_sandbox_whose_files_fill_its_memory_is_replaced()
    {
        string name = (await RunAsync(
            "dd if=/dev/zero of=/tmp/big bs=1M count=8 2>/dev/null; readlink /proc/self/ns/pid")).Output;

        // It is looked at now and then; many more calls than that, and it has to be another one.
        for (int i = 0; i < 40; i++)
        {
            await RunAsync("true");
        }

        Assert.NotEqual(name, (await RunAsync("readlink /proc/self/ns/pid")).Output);
    }

    [Fact]
    public async Task A_sandbox_that_dies_ends_its_calls_with_the_cause_and_no_later_one()
    {
        SandboxSpec shared = sandbox with { Reuse = 2 };
        await using IAttempt one = await fixture.Node.StartAsync(SandboxRuns.Spec(shared, "sleep", Forever), Token);
        await using IAttempt two = await fixture.Node.StartAsync(SandboxRuns.Spec(shared, "sleep", Forever), Token);

        HostTraces.KillInitOf(fixture.Options.Instance, $"sleep\0{Forever}");

        Assert.Equal(EndReason.PlatformFault, (await one.Completion.WaitAsync(SandboxRuns.Patience, Token)).Reason);
        AttemptReport report = await two.Completion.WaitAsync(SandboxRuns.Patience, Token);
        Assert.Equal(EndReason.PlatformFault, report.Reason);
        Assert.NotNull(report.Detail);
        RunOutcome next = await fixture.Node.RunAsync(SandboxRuns.Spec(shared, "true"));
        Assert.Equal(EndReason.Completed, next.Report.Reason);
    }

    [Fact]
    public async Task Root_that_kills_everything_it_can_see_hurts_its_own_sandbox_alone()
    {
        try
        {
            RunOutcome killer = await RunAsync("kill -9 -1; sleep 600");
            Assert.Equal(EndReason.PlatformFault, killer.Report.Reason);
        }
        catch (BerthException error) when (error.Code == ErrorCode.NodeFault)
        {
            // Faster than the word that it runs.
        }

        Assert.Equal(EndReason.Completed, (await RunAsync("true")).Report.Reason);
    }

    [Fact]
    public async Task A_program_that_multiplies_is_ended_with_all_it_made()
    {
        RunOutcome bomb = await fixture.Node.RunAsync(SandboxRuns.Spec(
            sandbox, "sh", "-c", "f() { f | f & }; trap '' TERM; f 2>/dev/null; sleep 600")
            .Within(TimeSpan.FromMilliseconds(500)));

        Assert.Equal(EndReason.TimedOut, bomb.Report.Reason);
        Assert.Equal("0\n", (await RunAsync("ps -o args | grep -c '[s]leep'")).Output);
    }

    [Fact]
    public async Task Root_can_not_look_into_what_runs_it()
    {
        RunOutcome run = await RunAsync(
            "for f in fd/3 mem maps environ root cwd; do ls /proc/$PPID/$f/ >/dev/null 2>&1 && echo $f; "
            + "cat /proc/$PPID/$f >/dev/null 2>&1 && echo $f; done; readlink /proc/$PPID/fd/3; echo none");

        Assert.Equal("none\n", run.Output);
    }

    [Fact]
    public async Task A_command_that_is_missing_is_refused_and_the_sandbox_goes_on()
    {
        string name = (await RunAsync("readlink /proc/self/ns/pid")).Output;

        RunOutcome missing = await fixture.Node.RunAsync(SandboxRuns.Spec(sandbox, "/no/such"));

        Assert.Equal(EndReason.EntryPointMissing, missing.Report.Reason);
        Assert.Contains("/no/such", missing.Report.Detail, StringComparison.Ordinal);
        Assert.Equal(name, (await RunAsync("readlink /proc/self/ns/pid")).Output);
    }

    [Fact]
    public async Task Progress_is_each_calls_own()
    {
        await RunAsync("echo 50 >&$BERTH_PROGRESS_FD");
        await using IAttempt attempt = await fixture.Node.StartAsync(
            SandboxRuns.Spec(sandbox, "sh", "-c", "echo 70 >&$BERTH_PROGRESS_FD"), Token);

        ProgressReport report = await attempt.Progress.ReadAsync(Token);

        Assert.Equal(70, report.Percent);
    }

    private Task<RunOutcome> RunAsync(string script) =>
        fixture.Node.RunAsync(SandboxRuns.Spec(sandbox, "sh", "-c", script));
}
