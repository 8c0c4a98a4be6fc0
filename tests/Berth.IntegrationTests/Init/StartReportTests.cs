using System.Text;
using Berth.Init.Protocol;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Lanes;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.Init;

/// <summary>When an init and a lane tell that a program runs: at once, with its end, or when the wait for that is over.
/// </summary>
[Collection("init")]
public sealed class StartReportTests(InitFixture fixture)
{
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(byte.MaxValue);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_start_of_a_brief_program_is_told_with_its_end(bool inLane)
    {
        // Where it was told at once it is told within microseconds. Who looks at the clock may be late for once.
        for (int tries = 0; tries < 20; tries++)
        {
            await using One one = await One.BootAsync(fixture, inLane);
            StartOutcome.Started started = await one.StartAsync("sleep 0.1; exit 3", Longest);
            Assert.Equal(3, (await one.ExitAsync())!.ExitCode);
            if (started.Since >= TimeSpan.FromMilliseconds(50))
            {
                return;
            }
        }

        Assert.Fail("Each time it was told before its end.");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_start_of_one_that_goes_on_is_told_when_the_wait_is_over(bool inLane)
    {
        TimeSpan patience = TimeSpan.FromMilliseconds(20);
        await using One one = await One.BootAsync(fixture, inLane);

        StartOutcome.Started started = await one.StartAsync("cat; exit 4", patience);

        Assert.True(started.Since >= patience, $"It was told after {started.Since}.");
        await one.Input.DisposeAsync();
        Assert.Equal(4, (await one.ExitAsync())!.ExitCode);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_a_wait_it_is_told_at_once(bool inLane)
    {
        await using One one = await One.BootAsync(fixture, inLane);

        StartOutcome.Started started = await one.StartAsync("cat; exit 5", TimeSpan.Zero);

        Assert.True(started.Pid > 1);
        await one.Input.DisposeAsync();
        Assert.Equal(5, (await one.ExitAsync())!.ExitCode);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task An_order_during_the_wait_is_obeyed(bool inLane, bool kills)
    {
        await using One one = await One.BootAsync(fixture, inLane);
        Task<StartOutcome.Started> starting = one.StartAsync("sleep 1000 & sleep 1000", Longest);
        if (kills)
        {
            one.Kill();
        }
        else
        {
            one.Signal(PidHandle.SigTerm);
        }

        await starting;
        Assert.Equal(
            kills ? PidHandle.SigKill : PidHandle.SigTerm, (await one.ExitAsync())!.Signal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_brief_program_leaves_is_ended_before_its_report(bool inLane)
    {
        await using One one = await One.BootAsync(fixture, inLane);

        await one.StartAsync("for i in 1 2 3 4; do setsid sleep 1000 & done; exit 6", Longest);

        Assert.Equal(6, (await one.ExitAsync())!.ExitCode);
        Assert.Equal("", await one.ReadAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_that_can_not_be_is_refused_whatever_the_wait(bool inLane)
    {
        await using One one = await One.BootAsync(fixture, inLane);

        StartOutcome outcome = await one.OrderAsync(
            new ProgramStart(["no-such-program"], new Dictionary<string, string>()) { Patience = Longest });

        Assert.IsType<StartOutcome.EntryPointMissing>(outcome);
    }

    [Fact]
    public async Task A_lane_tells_of_one_program_after_the_other()
    {
        await using One one = await One.BootAsync(fixture, inLane: true);
        for (int i = 0; i < 20; i++)
        {
            TimeSpan patience = TimeSpan.FromMilliseconds(i % 3 * 5);
            one.Renew();
            StartOutcome.Started started = await one.StartAsync($"echo {i}; exit {i}", patience);
            Assert.True(started.Pid > 1);
            Assert.Equal($"{i}\n", await one.ReadAsync());
            Assert.Equal(i, (await one.ExitAsync())!.ExitCode);
        }
    }

    [Fact]
    public async Task Programs_of_a_lane_go_first_when_memory_is_short_and_the_lane_stays_as_it_was()
    {
        string own = await File.ReadAllTextAsync("/proc/self/oom_score_adj");
        // The program may be quicker than the lane, which takes its own score back once it has begun.
        string show = $"""
            for n in $(seq 500); do [ "$(cat /proc/$PPID/oom_score_adj)" = {own.Trim()} ] && break; sleep 0.01; done
            cat /proc/$$/oom_score_adj /proc/$PPID/oom_score_adj /proc/1/oom_score_adj
            """;
        await using One one = await One.BootAsync(fixture, inLane: true);
        for (int i = 0; i < 3; i++)
        {
            one.Renew();
            await one.StartAsync(show, TimeSpan.Zero);
            Assert.Equal("500\n" + own + own, await one.ReadAsync());
            await one.ExitAsync();

            // Neither does one that could not begin leave it changed.
            one.Renew();
            Assert.IsType<StartOutcome.EntryPointMissing>(await one.OrderAsync(
                new ProgramStart(["no-such-program"], new Dictionary<string, string>())));
        }
    }

    /// <summary>An init that runs a program, or that has a lane which does.</summary>
    private sealed class One : IAsyncDisposable
    {
        private readonly BareInit init;
        private readonly LaneChannel? lane;
        private readonly ReadinessPoller poller;
        private LaneEnds? ends;

        private One(BareInit init, LaneChannel? lane, ReadinessPoller poller)
        {
            this.init = init;
            this.lane = lane;
            this.poller = poller;
            ends = lane is null ? null : new LaneEnds(poller);
        }

        public PipeWriteStream Input => ends?.Ours.Input ?? init.Input;

        public static async Task<One> BootAsync(InitFixture fixture, bool inLane)
        {
            BareInit init = await BareInit.BootAsync(fixture.Root, fixture.Poller);
            if (!inLane)
            {
                return new One(init, null, fixture.Poller);
            }

            using SocketPair control = SocketPair.Create();
            LaneChannel lane = new(control.Ours.Duplicate(), fixture.Poller);
            await init.Channel.OrderAsync(PlainFrames.Lane, [control.Theirs], CancellationToken.None);
            control.Theirs.Dispose();
            await lane.WaitReadyAsync(CancellationToken.None).WaitAsync(BareInit.Patience);
            return new One(init, lane, fixture.Poller);
        }

        /// <summary>Pipes for a lane's next program.</summary>
        public void Renew()
        {
            ends?.Dispose();
            ends?.Ours.Dispose();
            ends = new LaneEnds(poller);
        }

        public async Task<StartOutcome.Started> StartAsync(string script, TimeSpan patience) =>
            Assert.IsType<StartOutcome.Started>(
                await OrderAsync(BareInit.Shell(script) with { Patience = patience }));

        public async Task<StartOutcome> OrderAsync(ProgramStart program)
        {
            if (lane is null)
            {
                return await init.StartAsync(program);
            }

            Task<StartOutcome> starting = lane.StartAsync(program, ends!.Theirs, CancellationToken.None);
            StartOutcome outcome = await starting.WaitAsync(BareInit.Patience);
            ends.Dispose();
            return outcome;
        }

        public void Signal(int number)
        {
            if (lane is null)
            {
                init.Channel.Signal(number);
            }
            else
            {
                lane.Signal(number);
            }
        }

        public void Kill()
        {
            if (lane is null)
            {
                init.Channel.Kill();
            }
            else
            {
                lane.Kill();
            }
        }

        public Task<ProgramExit?> ExitAsync() =>
            (lane?.Exited ?? init.Channel.Exited).WaitAsync(BareInit.Patience);

        public async Task<string> ReadAsync()
        {
            using StreamReader reader = new(
                ends is null ? init.Output : ends.Ours.Output, Encoding.UTF8, leaveOpen: true);
            return await reader.ReadToEndAsync().WaitAsync(BareInit.Patience);
        }

        public async ValueTask DisposeAsync()
        {
            if (lane is not null)
            {
                await lane.DisposeAsync();
            }

            ends?.Dispose();
            ends?.Ours.Dispose();
            await init.DisposeAsync();
        }
    }
}
