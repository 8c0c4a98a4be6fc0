using System.Text;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Berth.Testing.Runs;
using Xunit;

namespace Berth.Tests.Runs;

public sealed class CallTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    private RunManagerRig rig = null!;

    public async ValueTask InitializeAsync() => rig = await RunManagerRig.StartAsync();

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task A_call_streams_both_ways_and_is_recorded_afterwards()
    {
        (Run run, string output) = await CallAsync(["cat"], "hello");

        Assert.Equal(("hello", RunState.Succeeded), (output, run.State));
        await RunManagerTests.Until(
            async () => await rig.Store.FindAsync(run.Id, None) is not null, "the call is recorded");
        Run stored = await rig.Manager.GetAsync(run.Id, None);
        Assert.Equal((RunKind.Call, EndReason.Completed, 5L),
            (stored.Kind, stored.End!.Reason, stored.End.Usage.BytesIn));
        RunWhy why = await rig.Manager.WhyAsync(run.Id, None);
        Assert.Equal(["accepted", "started", "ended"], why.Events.Select(e => e.Type));
        Assert.Equal(0, rig.Manager.Statistics().Running);
    }

    [Fact]
    public async Task A_failing_call_tells_the_end_of_its_standard_error()
    {
        await using LiveCall call = await rig.Manager.CallAsync(
            Spec("sh", "-c", "echo what went wrong >&2; exit 7"), "admin", null, None);

        Run run = await call.Completion;

        Assert.Equal((EndReason.ExitCode, 7), (run.End!.Reason, run.End.ExitCode));
        Assert.Equal("what went wrong\n", call.ErrorTail);
    }

    [Fact]
    public async Task A_call_under_way_is_listed_and_can_be_cancelled()
    {
        await using LiveCall call = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);

        RunList listed = await rig.Manager.ListAsync(
            RunManagerTests.Everything with { State = RunState.Running }, None);
        await rig.Manager.CancelAsync(call.Id, None);
        Run run = await call.Completion;

        Assert.Equal([call.Id], listed.Runs.Select(r => r.Id));
        Assert.Equal((RunState.Canceled, EndReason.Canceled), (run.State, run.End!.Reason));
    }

    [Fact]
    public async Task A_call_that_is_dropped_ends_its_program()
    {
        LiveCall call = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);

        await call.DisposeAsync();

        Assert.Equal(EndReason.ClientGone, (await call.Completion).End!.Reason);
        Assert.Equal(0, rig.Node.Running);
    }

    [Fact]
    public async Task Output_over_the_limit_ends_a_call()
    {
        RunSpec spec = Spec("yes") with { OutputLimit = ByteSize.KiB(10) };
        await using LiveCall call = await rig.Manager.CallAsync(spec, "admin", null, None);

        using StreamReader reader = new(call.Output);
        string output = await reader.ReadToEndAsync(None);
        Run run = await call.Completion;

        Assert.Equal((10 * 1024, EndReason.OutputLimit), (output.Length, run.End!.Reason));
    }

    [Fact]
    public async Task One_deadline_covers_waiting_for_a_place()
    {
        await using LiveCall a = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);
        await using LiveCall b = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);
        await using LiveCall c = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);
        await using LiveCall d = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => rig.Manager.CallAsync(
                Spec("true") with { Timeout = TimeSpan.FromMilliseconds(30) }, "admin", null, None));

        Assert.Equal(ErrorCode.RunTimedOut, error.Code);
        Assert.Equal(0, rig.Manager.Statistics().WaitingCalls);
    }

    [Fact]
    public async Task The_line_of_waiting_calls_is_bounded()
    {
        await rig.StopAsync(TimeSpan.Zero);
        rig.Options = rig.Options with { MaxRunning = 1, WaitingCallsLimit = 1 };
        await rig.BeginAsync();
        LiveCall running = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);
        Task<LiveCall> waiting = rig.Manager.CallAsync(Spec("true"), "admin", null, None);

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => rig.Manager.CallAsync(Spec("true"), "admin", null, None));
        await running.DisposeAsync();
        await using LiveCall served = await waiting;
        await served.Output.CopyToAsync(Stream.Null, None);

        Assert.Equal(ErrorCode.QueueFull, error.Code);
        Assert.Equal(RunState.Succeeded, (await served.Completion).State);
    }

    [Fact]
    public async Task A_node_that_fails_gives_the_place_back()
    {
        for (int i = 0; i < 10; i++)
        {
            rig.Node.FailNextStart(new BerthException(ErrorCode.NodeFault, "no sandbox"));
            await Assert.ThrowsAsync<BerthException>(() => rig.Manager.CallAsync(Spec("true"), "admin", null, None));
        }

        (Run run, _) = await CallAsync(["cat"], "");

        Assert.Equal(RunState.Succeeded, run.State);
        Assert.Equal(0, rig.Manager.Statistics().Running);
    }

    [Fact]
    public async Task A_caller_who_leaves_while_waiting_leaves_the_line()
    {
        Action release = rig.Node.HoldStarts();
        using CancellationTokenSource gone = new();
        Task<LiveCall> call = rig.Manager.CallAsync(Spec("true"), "admin", null, gone.Token);

        await gone.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        release();
        Assert.Equal(0, rig.Manager.Statistics().Running);
        Run run = Assert.Single((await rig.Manager.ListAsync(RunManagerTests.Everything, None)).Runs);
        Assert.Equal(EndReason.ClientGone, run.End!.Reason);
    }

    [Fact]
    public async Task A_stop_ends_calls_that_take_too_long_as_a_fault_of_the_platform()
    {
        LiveCall call = await rig.Manager.CallAsync(Spec("sleep", "60"), "admin", null, None);

        await rig.Manager.StopAsync(TimeSpan.Zero, None);

        Assert.Equal(EndReason.PlatformFault, (await call.Completion).End!.Reason);
        await call.DisposeAsync();
    }

    private static RunSpec Spec(params string[] command) =>
        RunSpec.For("demo/cat:1", RunBuilder.Image, RunKind.Call) with
        {
            Command = command,
        };

    private async Task<(Run Run, string Output)> CallAsync(string[] command, string input)
    {
        await using LiveCall call = await rig.Manager.CallAsync(Spec(command), "admin", null, None);
        await call.Input.WriteAsync(Encoding.UTF8.GetBytes(input), None);
        await call.Input.DisposeAsync();
        using StreamReader reader = new(call.Output);
        string output = await reader.ReadToEndAsync(None);
        return (await call.Completion, output);
    }
}
