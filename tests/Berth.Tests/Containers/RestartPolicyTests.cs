using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Runs;
using Xunit;

namespace Berth.Tests.Containers;

/// <summary>Decisions about containers: states, restarts, what a killed server left.</summary>
public sealed class RestartPolicyTests
{
    private static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddYears(50);

    private static readonly ContainerExit Success = new(EndReason.Completed, 0, null, null);
    private static readonly ContainerExit Failure = new(EndReason.ExitCode, 3, null, null);

    [Theory]
    [InlineData("no", RestartMode.No, null)]
    [InlineData("on-failure", RestartMode.OnFailure, null)]
    [InlineData("on-failure:5", RestartMode.OnFailure, 5)]
    [InlineData("always", RestartMode.Always, null)]
    [InlineData("unless-stopped", RestartMode.UnlessStopped, null)]
    public void A_policy_reads_as_it_writes(string text, RestartMode mode, int? most)
    {
        RestartPolicy policy = RestartPolicy.Parse(text);

        Assert.Equal(new RestartPolicy(mode, most), policy);
        Assert.Equal(text, policy.ToString());
    }

    [Fact]
    public void One_that_leaves_its_node_is_started_again_whatever_its_policy_has_counted()
    {
        Container worn = Container.New(
            ContainerId.New(), "web",
            ContainerSpec.For("demo/web", Digest.Sha256([1])) with { Restart = RestartPolicy.Parse("on-failure:1") },
            "ann", Now) with
        {
            State = ContainerState.Running,
            RestartsInRow = 1,
        };

        ContainerEnd left = ContainerSteps.Leave(worn, Success, Now, serverStops: false);
        ContainerEnd stopped = ContainerSteps.Leave(worn with { Stopped = true }, Success, Now, serverStops: false);
        ContainerEnd withServer = ContainerSteps.Leave(worn, Success, Now, serverStops: true);

        Assert.Null(ContainerSteps.End(worn, Failure, TimeSpan.Zero, Now, serverStops: false).Delay);
        Assert.Equal(
            (ContainerState.Restarting, 0, TimeSpan.Zero), (left.Next.State, left.Next.RestartsInRow, left.Delay));
        Assert.Equal((ContainerState.Exited, null), (stopped.Next.State, stopped.Delay));
        Assert.Equal((ContainerState.Exited, null), (withServer.Next.State, withServer.Delay));
    }

    [Theory]
    [InlineData("sometimes")]
    [InlineData("on-failure:")]
    [InlineData("on-failure:-1")]
    [InlineData("on-failure:x")]
    [InlineData("ALWAYS ")]
    public void What_is_no_policy_is_refused(string text) => Assert.Equal(
        ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => RestartPolicy.Parse(text)).Code);

    [Theory]
    [InlineData("no", true, false)]
    [InlineData("on-failure", true, true)]
    [InlineData("on-failure", false, false)]
    [InlineData("always", false, true)]
    [InlineData("unless-stopped", false, true)]
    public void A_program_that_ended_is_started_again_by_its_policy(string policy, bool failed, bool again)
    {
        ContainerEnd end = ContainerSteps.End(
            Running(policy), failed ? Failure : Success, TimeSpan.FromSeconds(1), Now, serverStops: false);

        Assert.Equal(again ? ContainerState.Restarting : ContainerState.Exited, end.Next.State);
        Assert.Equal(again, end.Delay is not null);
    }

    [Theory]
    [InlineData("always")]
    [InlineData("on-failure")]
    [InlineData("unless-stopped")]
    public void What_somebody_stopped_is_not_started_again(string policy)
    {
        Container stopped = ContainerSteps.Stop(Running(policy));

        Assert.Equal(
            ContainerState.Exited,
            ContainerSteps.End(stopped, Failure, TimeSpan.Zero, Now, serverStops: false).Next.State);
    }

    [Fact]
    public void Delays_double_up_to_a_minute_and_begin_anew_after_a_steady_run()
    {
        RestartPolicy policy = RestartPolicy.Parse("always");

        double[] delays = [.. Enumerable.Range(0, 12).Select(n => policy.DelayAfter(true, n)!.Value.TotalSeconds)];
        Container steady = ContainerSteps.End(
            Running("always") with { RestartsInRow = 9 }, Failure, RestartPolicy.SteadyAfter, Now, false).Next;

        Assert.Equal([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60], delays);
        Assert.Equal(0, steady.RestartsInRow);
    }

    [Fact]
    public void A_limited_policy_gives_up_after_so_many_in_a_row()
    {
        RestartPolicy policy = RestartPolicy.Parse("on-failure:2");

        Assert.NotNull(policy.DelayAfter(true, 1));
        Assert.Null(policy.DelayAfter(true, 2));
    }

    [Theory]
    [InlineData("no", ContainerState.Running, false, false)]
    [InlineData("on-failure", ContainerState.Running, false, true)]
    [InlineData("always", ContainerState.Running, false, true)]
    [InlineData("always", ContainerState.Exited, true, true)]
    [InlineData("unless-stopped", ContainerState.Exited, true, false)]
    [InlineData("unless-stopped", ContainerState.Paused, false, true)]
    [InlineData("unless-stopped", ContainerState.Restarting, false, true)]
    [InlineData("always", ContainerState.Created, false, false)]
    public void After_the_server_was_killed_the_policy_decides(
        string policy, ContainerState state, bool stopped, bool starts)
    {
        Container before = Running(policy) with
        {
            State = state,
            Stopped = stopped,
            Exit = state is ContainerState.Exited or ContainerState.Restarting ? Failure : null,
        };
        ContainerExit lost = new(EndReason.PlatformFault, null, null, "lost");

        (Container after, bool isStarted) = ContainerSteps.Recover(before, lost, Now);

        Assert.Equal(starts, isStarted);
        Assert.Equal(
            state == ContainerState.Created ? ContainerState.Created : ContainerState.Exited, after.State);
    }

    [Fact]
    public void Only_legal_steps_are_in_the_table_and_every_state_can_be_left()
    {
        foreach (ContainerState state in Enum.GetValues<ContainerState>())
        {
            Assert.NotEmpty(ContainerTransitions.From(state));
            Assert.False(ContainerTransitions.IsLegal(state, state));
        }
    }

    [Fact]
    public void A_step_that_is_not_in_the_table_is_a_defect()
    {
        ContainerTransitions.Require(ContainerState.Exited, ContainerState.Exited);
        ContainerTransitions.Require(ContainerState.Exited, ContainerState.Running);

        Assert.Throws<InvalidOperationException>(
            () => ContainerTransitions.Require(ContainerState.Exited, ContainerState.Paused));
    }

    [Theory]
    [InlineData(0, null, 0)]
    [InlineData(3, null, 3)]
    [InlineData(null, 15, 143)]
    [InlineData(null, null, 137)]
    public void An_exit_code_is_told_as_a_shell_tells_it(int? code, int? signal, int expected) =>
        Assert.Equal(expected, new ContainerExit(EndReason.Canceled, code, signal, null).Code);

    [Theory]
    [InlineData("TERM", 15)]
    [InlineData("SIGKILL", 9)]
    [InlineData("sighup", 1)]
    [InlineData("64", 64)]
    public void Signals_are_read_as_people_write_them(string text, int number) =>
        Assert.Equal(number, SignalName.Parse(text));

    [Theory]
    [InlineData("0")]
    [InlineData("65")]
    [InlineData("-9")]
    [InlineData("SIGNOPE")]
    [InlineData("")]
    public void What_is_no_signal_is_refused(string text) =>
        Assert.Throws<BerthException>(() => SignalName.Parse(text));

    [Theory]
    [InlineData("a")]
    [InlineData("-web")]
    [InlineData("../x")]
    [InlineData("web/1")]
    [InlineData("wéb")]
    [InlineData("")]
    public void What_is_no_name_is_refused(string name) =>
        Assert.Throws<BerthException>(() => ContainerName.Check(name, "container"));

    private static Container Running(string policy)
    {
        ContainerSpec spec = ContainerSpec.For("demo/web", Digest.Sha256("web"u8)) with
        {
            Restart = RestartPolicy.Parse(policy),
        };
        Container made = Container.New(ContainerId.New(), "web", spec, "test", Now);
        return ContainerSteps.Start(made, RunId.New(Now), Now, byPolicy: false);
    }
}
