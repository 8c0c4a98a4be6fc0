using System.Text.RegularExpressions;
using Berth.Core.Errors;
using Berth.Init.Protocol;
using Berth.IntegrationTests.EndToEnd;
using Berth.Node.Init;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.Init;

/// <summary>What the init promises while a program runs, against programs and nodes that don't behave.</summary>
[Collection("init")]
public sealed partial class SupervisionTests(InitFixture fixture)
{
    [Fact]
    public async Task A_signal_reaches_the_program()
    {
        await using BareInit init = await BootAsync();
        await init.StartShellAsync("trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.01; done");
        Assert.Equal("ready", await init.ReadLineAsync());

        init.Channel.Signal(PidHandle.SigTerm);

        Assert.Equal("got it", await init.ReadLineAsync());
        Assert.Equal(9, (await init.ExitAsync())!.ExitCode);
    }

    [Fact]
    public async Task A_program_that_ignores_SIGTERM_is_killed_with_all_it_started()
    {
        await using BareInit init = await BootAsync();
        await init.StartShellAsync("trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & echo ready; sleep 1000");
        Assert.Equal("ready", await init.ReadLineAsync());

        init.Channel.Signal(PidHandle.SigTerm);
        init.Channel.Kill();

        Assert.Equal(PidHandle.SigKill, (await init.ExitAsync())!.Signal);
        await init.Gone.WaitAsync(BareInit.Patience);
    }

    [Fact]
    public async Task What_outlives_the_program_is_ended_before_the_report()
    {
        await using BareInit init = await BootAsync();

        await init.StartShellAsync(
            "for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'trap \"\" HUP TERM INT; sleep 1000' & done; exit 3");

        Assert.Equal(3, (await init.ExitAsync())!.ExitCode);
        Assert.Equal("", await init.ReadOutputAsync());
        await init.Gone.WaitAsync(BareInit.Patience);
    }

    [Fact]
    public async Task Orphans_are_reaped_while_the_program_runs()
    {
        await using BareInit init = await BootAsync();

        await init.StartShellAsync(
            "for i in 1 2 3 4 5 6 7 8 9; do sh -c '(sleep 0.01 &)'; done; "
            + "while [ $(ls -d /proc/[0-9]* | wc -l) -gt 5 ] || grep -q 'State:.Z' /proc/[0-9]*/status; do :; done "
            + "2> /dev/null; echo reaped");

        Assert.Equal("reaped", await init.ReadLineAsync());
    }

    [Fact]
    public async Task Processor_time_of_orphans_counts()
    {
        await using BareInit init = await BootAsync();

        // The orphan says when it has burnt its time; the program itself does next to nothing.
        await init.StartShellAsync(
            "mkfifo /tmp/burnt; sh -c '(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo > /tmp/burnt) &'; "
            + "cat /tmp/burnt; rm /tmp/burnt");

        ProgramExit? exit = await init.ExitAsync();
        Assert.True(exit!.UserTime + exit.SystemTime > TimeSpan.FromMilliseconds(20), $"It is {exit}.");
        Assert.InRange(exit.PeakResident, 100_000, 1L << 30);
    }

    [Fact]
    public async Task When_the_connection_closes_everything_is_killed()
    {
        BareInit init = await BootAsync();
        await init.StartShellAsync("trap '' TERM HUP; setsid sleep 1000 & echo ready; sleep 1000");
        Assert.Equal("ready", await init.ReadLineAsync());

        await init.Channel.DisposeAsync();

        await init.Gone.WaitAsync(BareInit.Patience);
        Assert.Null(await init.ExitAsync());
        await init.DisposeAsync();
    }

    [Fact]
    public async Task A_parked_init_goes_when_the_connection_closes()
    {
        BareInit init = await BootAsync();

        await init.DisposeAsync();

        Assert.True((await init.Gone)!.Succeeded);
    }

    [Fact]
    public async Task A_killed_init_is_an_end_without_a_report()
    {
        await using BareInit init = await BootAsync();
        await init.StartShellAsync("echo ready; sleep 1000");
        Assert.Equal("ready", await init.ReadLineAsync());

        using (PidHandle process = PidHandle.Open(init.ProcessId, fixture.Poller))
        {
            process.Signal(PidHandle.SigKill);
        }

        Assert.Null(await init.ExitAsync());
        await init.Gone.WaitAsync(BareInit.Patience);
        init.Channel.Signal(PidHandle.SigTerm);
        init.Channel.Kill();
    }

    [Fact]
    public async Task A_killed_init_fails_the_start_as_the_machines_fault()
    {
        await using BareInit init = await BootAsync();
        using (PidHandle process = PidHandle.Open(init.ProcessId, fixture.Poller))
        {
            process.Signal(PidHandle.SigKill);
        }

        await init.Gone.WaitAsync(BareInit.Patience);

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => init.StartAsync(BareInit.Shell("exit 0")));
        Assert.Equal(ErrorCode.NodeFault, error.Code);
    }

    [Fact]
    public async Task No_signal_from_inside_touches_the_init()
    {
        await using BareInit init = await BootAsync();

        await init.StartShellAsync(
            "s=1; while [ $s -le 64 ]; do kill -$s 1; s=$((s+1)); done; kill -0 1 && echo alive");

        Assert.Equal("alive", await init.ReadLineAsync());
        Assert.Equal(0, (await init.ExitAsync())!.ExitCode);
    }

    [Fact]
    public async Task Every_thread_of_the_init_is_deaf_and_it_holds_only_what_it_needs()
    {
        const string AllButKillAndStop = "fffffffffffbfeff";
        await using BareInit init = await BootAsync();
        string process = $"/proc/{init.ProcessId}";

        foreach (string thread in Directory.GetDirectories($"{process}/task"))
        {
            string status = await File.ReadAllTextAsync($"{thread}/status");
            Assert.Contains($"SigBlk:\t{AllButKillAndStop}", status);
            Assert.Contains("SigCgt:\t0000000000000000", status);
            Assert.Contains("Seccomp:\t2", status);
            Assert.Contains("NoNewPrivs:\t1", status);
        }

        Assert.Equal(["0", "1", "2", "3", "4"], Directory.GetFiles($"{process}/fd").Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task A_parked_init_is_small()
    {
        const int MostKibibytes = 5 * 1024;
        await using BareInit init = await BootAsync();

        string status = await File.ReadAllTextAsync($"/proc/{init.ProcessId}/status");

        int resident = int.Parse(Resident().Match(status).Groups[1].Value);
        TestContext.Current.TestOutputHelper?.WriteLine($"A parked init has {resident} KiB resident.");
        Assert.True(resident <= MostKibibytes, $"It has {resident} KiB resident.");
    }

    [Fact]
    public async Task A_filter_the_kernel_refuses_fails_the_boot()
    {
        BareInit init = BareInit.Launch(fixture.Root, fixture.Poller);

        BerthException error = await Assert.ThrowsAsync<BerthException>(() => init.Channel.WaitReadyAsync(
            new byte[] { 0xFF, 0xFF, 0, 0, 0, 0, 0, 0 }, CancellationToken.None).WaitAsync(BareInit.Patience));

        Assert.Equal(ErrorCode.NodeFault, error.Code);
        Assert.Contains("seccomp", error.Message);
        await init.DisposeAsync();
    }

    [Fact]
    public async Task Nonsense_on_the_connection_ends_the_sandbox()
    {
        using SocketPair control = SocketPair.Create();
        using PidHandle unshare = Spawner.Start(
            new SpawnSpec(
                "/usr/bin/unshare",
                ["--pid", "--fork", "--mount", $"--root={fixture.Root.Path}", "--mount-proc", InitRoot.InitPath],
                Descriptors: [null, null, null, control.Theirs, null]),
            fixture.Poller);
        await using PipeWriteStream stream = new(control.Ours.Duplicate(), fixture.Poller);

        await stream.WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());

        Assert.NotNull(await unshare.Exited.WaitAsync(BareInit.Patience));
    }

    [Fact]
    public async Task Outside_of_a_sandbox_it_refuses_to_run()
    {
        using Pipe output = Pipe.Create();
        using PidHandle init = Spawner.Start(
            new SpawnSpec(fixture.Root.Path + InitRoot.InitPath, [], Descriptors: [null, null, output.WriteEnd]),
            fixture.Poller);
        output.WriteEnd.Dispose();
        using StreamReader reader = new(new PipeReadStream(output.ReadEnd, fixture.Poller));

        Assert.Contains("process 1 of a sandbox", await reader.ReadToEndAsync());
        Assert.Equal(64, (await init.Exited)!.ExitCode);
    }

    [Fact]
    public Task A_thousand_starts_leave_nothing_behind() => StartAgainAndAgainAsync(1_000);

    [Fact(Explicit = true)]
    public Task Ten_thousand_starts_leave_nothing_behind() => StartAgainAndAgainAsync(10_000);

    [GeneratedRegex(@"VmRSS:\s*(\d+) kB")]
    private static partial Regex Resident();

    private async Task StartAgainAndAgainAsync(int times)
    {
        await StartOnceAsync();
        int descriptors = OpenDescriptors();
        int children = Children();
        List<double> starts = [];
        for (int i = 0; i < times; i++)
        {
            starts.Add((await StartOnceAsync()).TotalMilliseconds);
        }

        Assert.Equal(0, fixture.Poller.WatchedCount);
        // Other tests have some of their own for a while; what a start leaves stays.
        await Condition.HoldsAsync(
            "there are no more descriptors and children than before",
            () => OpenDescriptors() <= descriptors && Children() <= children);
        starts.Sort();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"From Start to Started: p10 {starts[times / 10]:0.000} ms, p50 {starts[times / 2]:0.000} ms, "
            + $"p99 {starts[times * 99 / 100]:0.000} ms.");
    }

    private async Task<TimeSpan> StartOnceAsync()
    {
        await using BareInit init = await BootAsync();
        long begun = TimeProvider.System.GetTimestamp();
        Assert.IsType<StartOutcome.Started>(await init.StartAsync(BareInit.Shell("exit 4")));
        TimeSpan taken = TimeProvider.System.GetElapsedTime(begun);
        Assert.Equal(4, (await init.ExitAsync())!.ExitCode);
        return taken;
    }

    private static int OpenDescriptors() => Directory.GetFiles("/proc/self/fd").Length;

    private static int Children() =>
        Directory.GetDirectories("/proc/self/task")
            .Sum(t => File.ReadAllText($"{t}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Length);

    private Task<BareInit> BootAsync() => BareInit.BootAsync(fixture.Root, fixture.Poller);
}
