using Berth.Core.Runs;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Runs;

public sealed class RunClaimsTests
{
    [Fact]
    public void A_claim_is_a_new_generation_and_what_an_older_one_reports_comes_too_late()
    {
        Run queued = Accepted(Noon, Spec());
        Run first = RunClaims.Claim(queued).Next;
        Run again = RunClaims.Claim(RunSteps.Recover(first, At(Noon), TimeSpan.Zero).Next).Next;

        Assert.Equal((RunState.Starting, 1, 1), (first.State, first.Generation, first.Attempts));
        Assert.True(RunClaims.Admits(again, RunSteps.Start(again, "n", RunTimings.None, Noon, [])));
        Assert.False(RunClaims.Admits(again, RunSteps.Start(first, "n", RunTimings.None, Noon, [])));
        Assert.False(RunClaims.Admits(queued with { Generation = 1 }, RunClaims.Claim(queued)));
    }

    [Fact]
    public void What_has_ended_stays_so_and_what_is_to_end_does_not_wait_again()
    {
        Run running = RunSteps.Start(
            RunClaims.Claim(Accepted(Noon, Spec())).Next, "n", RunTimings.None, Noon, []).Next;
        RunChange end = RunSteps.End(running, End(EndReason.Completed), At(Noon), 0, TimeSpan.Zero, []);
        RunChange back = RunSteps.HandBack(running, End(EndReason.PlatformFault), At(Noon));

        Assert.True(RunClaims.Admits(running, end));
        Assert.False(RunClaims.Admits(end.Next, end));
        Assert.True(RunClaims.Admits(running, back));
        Assert.False(RunClaims.Admits(running with { CancelRequested = true }, back));
    }

    [Fact]
    public void A_run_may_be_claimed_from_when_it_is_ready_on()
    {
        Run queued = Accepted(Noon, Spec());

        Assert.True(RunClaims.IsReady(queued, At(Noon)));
        Assert.False(RunClaims.IsReady(queued, At(Noon.AddTicks(-1))));
        Assert.False(RunClaims.IsReady(RunClaims.Claim(queued).Next, At(Noon)));
    }
}
