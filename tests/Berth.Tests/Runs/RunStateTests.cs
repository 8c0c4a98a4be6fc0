using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Testing.Runs;
using Berth.Tests.Gates;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Runs;

/// <summary>The table of states and the steps decided on it.</summary>
public sealed class RunStateTests
{
    private static readonly TimeSpan Keep = TimeSpan.FromHours(24);

    // The wall clock was set back after the start.
    private static readonly RunMoment Now = new(Noon, Noon.AddHours(1));

    private static readonly Run Claimed = Accepted(
        ) with
    { State = RunState.Running, Generation = 3, Attempts = 2, StartedAt = Noon };

    [Fact]
    public void The_diagram_in_the_documents_is_the_table()
    {
        string page = File.ReadAllText(Path.Combine(Repository.Root, "docs/internals/runs.md"));
        string shown = page.Split("<!-- run states: begin -->")[1].Split("<!-- run states: end -->")[0].Trim();

        string drawn = string.Join('\n', [
            "```mermaid",
            "stateDiagram-v2",
            "    [*] --> Queued",
            .. Enum.GetValues<RunState>().SelectMany(from => from.IsTerminal()
                ? [$"    {from} --> [*]"]
                : RunTransitions.From(from).Select(to => $"    {from} --> {to}")),
            "```",
        ]);

        Assert.Equal(drawn, shown);
    }

    [Fact]
    public void Every_step_is_one_that_the_table_allows()
    {
        foreach (EndReason reason in Enum.GetValues<EndReason>())
        {
            Assert.True(RunTransitions.IsLegal(
                RunState.Running, RunSteps.End(Claimed, End(reason), Now, 0.5, Keep, []).Next.State), $"{reason}");
        }

        Assert.Equal(RunState.Queued, RunSteps.HandBack(Claimed, End(EndReason.PlatformFault), Now).Next.State);
        Assert.Equal(RunState.Canceled, RunSteps.CancelWaiting(Accepted(), Noon, Keep).Next.State);
        Assert.Equal(RunState.Failed, RunSteps.Expire(Accepted(), Noon, Keep).Next.State);
    }

    [Fact]
    public void A_fault_of_the_platform_waits_longer_before_each_attempt_and_then_ends()
    {
        RunChange retried = RunSteps.End(Claimed, End(EndReason.PlatformFault), Now, 0.5, Keep, []);
        RunChange last = RunSteps.End(
            Claimed with { Attempts = 4 }, End(EndReason.PlatformFault), Now, 0.5, Keep, []);

        Assert.Equal((RunState.Queued, 4, Now.Steady.AddMilliseconds(200)),
            (retried.Next.State, retried.Next.Generation, retried.Next.ReadyAt));
        Assert.Equal((RunState.Failed, 3), (last.Next.State, last.Next.Generation));
        Assert.Equal(Noon + Keep, last.Next.ResultExpiresAt);
    }

    [Fact]
    public void What_was_asked_to_end_is_not_tried_again()
    {
        RunChange change = RunSteps.End(
            Claimed with { CancelRequested = true }, End(EndReason.PlatformFault), Now, 0.5, Keep, []);

        Assert.True(change.Next.State.IsTerminal());
    }

    [Fact]
    public void A_hand_back_raises_the_generation_takes_the_attempt_back_and_waits_from_then_on()
    {
        Run next = RunSteps.HandBack(Claimed, End(EndReason.PlatformFault), Now).Next;

        Assert.Equal((4, 1, Now.Steady), (next.Generation, next.Attempts, next.ReadyAt));
    }

    [Fact]
    public void What_each_attempt_used_is_added_up_whichever_way_the_run_goes_on()
    {
        RunUsage used = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), ByteSize.MiB(7), 10, 20);
        RunUsage more = new(TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(4), ByteSize.MiB(6), 30, 40);
        RunUsage sum = new(TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(6), ByteSize.MiB(7), 40, 60);
        RunEnd end = new(EndReason.PlatformFault, null, null, null, more);
        Run tried = Claimed with { End = end with { Usage = used } };

        Assert.Equal(sum, RunSteps.End(tried, end, Now, 0.5, Keep, []).Next.End!.Usage);
        Assert.Equal(sum, RunSteps.End(tried with { Attempts = 4 }, end, Now, 0.5, Keep, []).Next.End!.Usage);
        Assert.Equal(sum, RunSteps.HandBack(tried, end, Now).Next.End!.Usage);
        Assert.Equal(used, RunSteps.CancelWaiting(tried, Noon, Keep).Next.End!.Usage);
        Assert.Equal(used, RunSteps.Recover(tried with { Attempts = 4 }, Now, Keep).Next.End!.Usage);
    }

    [Theory]
    [InlineData(0.3, "0.3 ms")]
    [InlineData(12, "12 ms")]
    [InlineData(1234, "1.2 s")]
    [InlineData(119_000, "119 s")]
    [InlineData(900_000, "15 min")]
    [InlineData(86_400_000, "24 h")]
    public void Spans_are_told_as_people_say_them(double milliseconds, string text) =>
        Assert.Equal(text, RunSentences.Span(TimeSpan.FromMilliseconds(milliseconds)));

    [Fact]
    public void Ends_are_told_with_amounts_and_the_knob()
    {
        Assert.Equal(
            "The program was killed at its memory limit of 256 MiB, after 12 ms, with 4 ms of CPU time and 5 MiB at "
            + "peak: raise --memory.",
            RunSentences.Ended(End(EndReason.OutOfMemory), SandboxLimits.Default, TimeSpan.FromMilliseconds(12)));
        Assert.Equal("Taken up after 1.2 s: 4 of 4 places were in use.",
            RunSentences.Claimed(TimeSpan.FromSeconds(1.2), 4, 4));
        Assert.Equal("out_of_memory", RunSentences.Word(EndReason.OutOfMemory));
    }

    [Theory]
    [InlineData(2, 24, 16)]
    [InlineData(64, 4, 12)]
    [InlineData(1, 1, 3)]
    [InlineData(1000, 4096, 1024)]
    public void Places_follow_cores_and_memory(int cores, int gibibytes, int places) =>
        Assert.Equal(places, RunCapacity.DefaultPlaces(cores, ByteSize.GiB(gibibytes)));
}
