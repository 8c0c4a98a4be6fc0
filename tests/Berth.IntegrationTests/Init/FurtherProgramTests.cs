using System.Text;
using Berth.Core.Errors;
using Berth.Node.Init;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.Init;

/// <summary>Programs beside the main one: their streams, their ends, and what is left of them.</summary>
[Collection("init")]
public sealed class FurtherProgramTests(InitFixture fixture)
{
    [Fact]
    public async Task A_further_program_has_its_own_streams_and_end()
    {
        await using BareInit init = await RunningAsync();

        using Further further = await Further.StartAsync(
            init, "read line; echo out $line; echo err >&2; exit 7", fixture);
        await further.Input.WriteAsync("hello\n"u8.ToArray());

        Assert.Equal("out hello\n", await further.ReadAsync(further.Output));
        Assert.Equal("err\n", await further.ReadAsync(further.Error));
        Assert.Equal(new FurtherExit(7, 0), await further.ExitAsync());
    }

    [Fact]
    public async Task It_holds_nothing_but_its_streams()
    {
        await using BareInit init = await RunningAsync();

        using Further further = await Further.StartAsync(init, "ls /proc/self/fd", fixture);

        // 3 is the folder that ls itself reads.
        Assert.Equal("0\n1\n2\n3\n", await further.ReadAsync(further.Output));
    }

    [Fact]
    public async Task The_end_of_its_input_reaches_it()
    {
        await using BareInit init = await RunningAsync();
        using Further further = await Further.StartAsync(init, "wc -c", fixture);

        await further.Input.WriteAsync(new byte[100_000]);
        await further.Input.DisposeAsync();

        Assert.Equal("100000\n", await further.ReadAsync(further.Output));
    }

    [Fact]
    public async Task A_signal_reaches_the_one_it_is_for()
    {
        await using BareInit init = await RunningAsync();
        using Further first = await Further.StartAsync(init, "sleep 1000", fixture);
        using Further second = await Further.StartAsync(init, "sleep 1000", fixture);

        first.Program.Signal(PidHandle.SigTerm);

        Assert.Equal(new FurtherExit(0, PidHandle.SigTerm), await first.ExitAsync());
        Assert.False(second.Program.Exited.IsCompleted);
        second.Program.Signal(PidHandle.SigKill);
        Assert.Equal(new FurtherExit(0, PidHandle.SigKill), await second.ExitAsync());
    }

    [Fact]
    public async Task It_ends_with_the_main_program()
    {
        await using BareInit init = await BareInit.BootAsync(fixture.Root, fixture.Poller);
        Assert.IsType<StartOutcome.Started>(await init.StartAsync(BareInit.Shell("read line; exit 4")));
        using Further further = await Further.StartAsync(init, "trap '' TERM HUP; sleep 1000", fixture);

        await init.Input.DisposeAsync();

        Assert.Equal(4, (await init.ExitAsync())!.ExitCode);
        Assert.Equal(new FurtherExit(0, PidHandle.SigKill), await further.ExitAsync());
    }

    [Theory]
    [InlineData("no-such-command", "", "/", "no-such-command")]
    [InlineData("sh", "nobody-here", "/", "nobody-here")]
    [InlineData("sh", "", "/no/such/folder", "/no/such/folder")]
    [InlineData("/plain", "", "/", "not executable")]
    public async Task What_can_not_start_is_refused_and_harms_nothing(
        string command, string user, string folder, string told)
    {
        await using BareInit init = await RunningAsync();

        using Further refused = await Further.StartAsync(
            init, new ProgramStart([command], Path, user, folder), fixture);

        string detail = Assert.IsType<StartOutcome.EntryPointMissing>(refused.Outcome).Detail;
        Assert.Contains(told, detail, StringComparison.Ordinal);
        Assert.Null(await refused.ExitAsync());
        using Further next = await Further.StartAsync(init, "echo fine", fixture);
        Assert.Equal("fine\n", await next.ReadAsync(next.Output));
    }

    [Fact]
    public async Task It_runs_as_the_user_asked_for_and_without_more_rights_than_the_main_program()
    {
        await using BareInit init = await RunningAsync();

        using Further further = await Further.StartAsync(
            init,
            BareInit.Shell("id -u; id -g; grep -E 'NoNewPrivs|Seccomp:|CapEff' /proc/self/status", "alice"), fixture);

        Assert.Equal(
            "1234\n1235\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
            await further.ReadAsync(further.Output));
    }

    [Fact]
    public async Task After_the_main_program_none_starts()
    {
        await using BareInit init = await BareInit.BootAsync(fixture.Root, fixture.Poller);
        await init.StartShellAsync("exit 0");
        await init.ExitAsync();

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => Further.StartAsync(init, "echo late", fixture));

        Assert.Equal(ErrorCode.NodeFault, error.Code);
    }

    [Fact]
    public async Task A_thousand_of_them_leave_the_init_as_it_was()
    {
        await using BareInit init = await RunningAsync();
        await RunManyAsync(init, 100);
        string descriptors = Descriptors(init);
        long memory = Resident(init);

        await RunManyAsync(init, 1000);

        Assert.Equal(descriptors, Descriptors(init));
        Assert.InRange(Resident(init) - memory, long.MinValue, 1024 * 1024);
    }

    private static readonly Dictionary<string, string> Path = new() { ["PATH"] = "/bin" };

    private static string Descriptors(BareInit init) => string.Join(
        ' ',
        Directory.EnumerateFileSystemEntries($"/proc/{init.ProcessId}/fd").Select(System.IO.Path.GetFileName).Order());

    private static long Resident(BareInit init) =>
        long.Parse(File.ReadAllText($"/proc/{init.ProcessId}/statm").Split(' ')[1]) * 4096;

    private async Task RunManyAsync(BareInit init, int count)
    {
        for (int i = 0; i < count; i += 10)
        {
            Further[] ten = await Task.WhenAll(Enumerable.Range(0, 10).Select(
                _ => Further.StartAsync(init, new ProgramStart(["true"], Path), fixture)));
            foreach (Further one in ten)
            {
                Assert.Equal(new FurtherExit(0, 0), await one.ExitAsync());
                one.Dispose();
            }
        }
    }

    private async Task<BareInit> RunningAsync()
    {
        BareInit init = await BareInit.BootAsync(fixture.Root, fixture.Poller);
        Assert.IsType<StartOutcome.Started>(await init.StartAsync(BareInit.Shell("sleep 1000")));
        return init;
    }

    /// <summary>A further program and this side's ends of its streams.</summary>
    private sealed class Further : IDisposable
    {
        private Further(
            IFurtherProgram program, StartOutcome outcome, PipeWriteStream input, PipeReadStream output,
            PipeReadStream error)
        {
            Program = program;
            Outcome = outcome;
            Input = input;
            Output = output;
            Error = error;
        }

        public IFurtherProgram Program { get; }

        public StartOutcome Outcome { get; }

        public PipeWriteStream Input { get; }

        public PipeReadStream Output { get; }

        public PipeReadStream Error { get; }

        public static Task<Further> StartAsync(BareInit init, string script, InitFixture fixture) =>
            StartAsync(init, BareInit.Shell(script), fixture);

        public static async Task<Further> StartAsync(BareInit init, ProgramStart program, InitFixture fixture)
        {
            using Pipe input = Pipe.Create();
            using Pipe output = Pipe.Create();
            using Pipe error = Pipe.Create();
            (IFurtherProgram further, StartOutcome outcome) = await init.Channel.ExecuteAsync(
                program, [input.ReadEnd, output.WriteEnd, error.WriteEnd], CancellationToken.None)
                .WaitAsync(BareInit.Patience);
            return new Further(
                further,
                outcome,
                new PipeWriteStream(input.WriteEnd.Duplicate(), fixture.Poller),
                new PipeReadStream(output.ReadEnd.Duplicate(), fixture.Poller),
                new PipeReadStream(error.ReadEnd.Duplicate(), fixture.Poller));
        }

        public async Task<string> ReadAsync(Stream stream)
        {
            using StreamReader reader = new(stream, Encoding.UTF8, leaveOpen: true);
            return await reader.ReadToEndAsync().WaitAsync(BareInit.Patience);
        }

        public Task<FurtherExit?> ExitAsync() => Program.Exited.WaitAsync(BareInit.Patience);

        public void Dispose()
        {
            Input.Dispose();
            Output.Dispose();
            Error.Dispose();
        }
    }
}
