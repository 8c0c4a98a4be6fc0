using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;
using Berth.Oci.Layers;
using Xunit;

namespace Berth.Testing.Engines;

/// <summary>
/// What every <see cref="IEngine"/> promises, as tests: prepare, start, run, stop, stats, remove. The image has cat,
/// sleep and sh in its PATH.
/// </summary>
public abstract class EngineContract
{
    private readonly ReadinessPoller poller = new();

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>A started engine.</summary>
    protected abstract IEngine Engine { get; }

    protected abstract SandboxSpec Sandbox { get; }

    protected abstract Task<ImageHandle> OpenImageAsync();

    /// <summary>How the engine tells of a program that a signal ended.</summary>
    protected virtual (int ExitCode, int Signal) EndBy(int signal) => (0, signal);

    [Fact]
    public async Task A_prepared_sandbox_waits_alive()
    {
        await using ISandbox sandbox = await PrepareAsync();

        Assert.True(sandbox.IsAlive);
        Assert.False(sandbox.Exited.IsCompleted);
        Assert.Equal(Sandbox, sandbox.Spec);
        Assert.NotEmpty(sandbox.HostName);
    }

    [Fact]
    public async Task Every_sandbox_has_an_id_of_its_own()
    {
        await using ISandbox first = await PrepareAsync();
        await using ISandbox second = await PrepareAsync();

        Assert.NotEqual(first.Id, second.Id);
    }

    [Fact]
    public async Task A_program_runs_between_its_streams_and_its_end_is_told()
    {
        await using ISandbox sandbox = await PrepareAsync();

        StartOutcome outcome = await StartAsync(sandbox, "sh", "-c", "cat; echo oops >&2; exit 3");
        await sandbox.Streams.Input.WriteAsync("round"u8.ToArray());
        await sandbox.Streams.Input.DisposeAsync();
        string output = await ReadAsync(sandbox.Streams.Output);
        string error = await ReadAsync(sandbox.Streams.Error);
        ProgramExit? exit = await sandbox.Exited.WaitAsync(Patience);

        Assert.IsType<StartOutcome.Started>(outcome);
        Assert.Equal("round", output);
        Assert.Equal("oops\n", error);
        Assert.Equal(3, exit!.ExitCode);
        Assert.Equal(0, exit.Signal);
    }

    [Fact]
    public async Task What_the_image_does_not_have_is_an_outcome_not_a_fault()
    {
        await using ISandbox sandbox = await PrepareAsync();

        StartOutcome outcome = await StartAsync(sandbox, "/no/such/program");

        Assert.Contains("/no/such/program", Assert.IsType<StartOutcome.EntryPointMissing>(outcome)
            .Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_signal_reaches_the_program()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "sleep", "600");

        sandbox.Signal(15);

        Assert.Equal(EndBy(15), EndOf(await sandbox.Exited.WaitAsync(Patience)));
    }

    [Fact]
    public async Task A_kill_ends_the_program()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "sleep", "600");

        sandbox.Kill();
        ProgramExit? exit = await sandbox.Exited.WaitAsync(Patience);

        Assert.Equal(9, exit!.Signal);
    }

    [Fact]
    public async Task Usage_is_told_until_the_sandbox_is_removed()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "true");
        await sandbox.Exited.WaitAsync(Patience);

        SandboxUsage usage = sandbox.ReadUsage();
        await sandbox.RemoveAsync();

        Assert.True(usage.Resources.Cpu >= TimeSpan.Zero);
        Assert.Equal(0, usage.OutOfMemoryKills);
        Assert.ThrowsAny<IOException>(() => sandbox.ReadUsage());
    }

    [Fact]
    public async Task What_was_written_can_be_read_after_the_removal()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "echo", "last words");
        await sandbox.Exited.WaitAsync(Patience);

        await sandbox.RemoveAsync();

        Assert.Equal("last words\n", await ReadAsync(sandbox.Streams.Output));
    }

    [Fact]
    public async Task Removing_is_idempotent_and_works_in_any_state()
    {
        ISandbox parked = await PrepareAsync();
        ISandbox running = await PrepareAsync();
        await StartAsync(running, "sleep", "600");

        await Task.WhenAll(parked.RemoveAsync(), parked.RemoveAsync(), running.RemoveAsync()).WaitAsync(Patience);
        await parked.DisposeAsync();
        await running.DisposeAsync();
        await running.DisposeAsync();

        Assert.False(parked.IsAlive);
        Assert.False(running.IsAlive);
        Assert.True(running.Exited.IsCompleted);
    }

    [Fact]
    public async Task A_program_on_a_terminal_sees_one_and_its_size()
    {
        await using ISandbox sandbox = await PrepareAsync();

        ProgramBeginning beginning = await sandbox.StartAsync(
            Program("sh", "-c", "test -t 0 && test -t 2 && stty size"), new TerminalSize(33, 101),
            CancellationToken.None);
        using Pseudoterminal terminal = beginning.Terminal!;

        // A terminal ends its lines for a screen.
        Assert.Equal("33 101\r\n", await ReadAsync(terminal.Output));
        Assert.Equal(0, (await sandbox.Exited.WaitAsync(Patience))!.ExitCode);
    }

    [Fact]
    public async Task A_further_program_has_its_own_streams_and_end()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "sleep", "600");
        using Pipe input = Pipe.Create();
        using Pipe output = Pipe.Create();
        using Pipe error = Pipe.Create();

        (IFurtherProgram further, StartOutcome outcome, _) =
            await ExecuteAsync(sandbox, input, output, error, "sh", "-c", "echo beside; exit 5");
        output.WriteEnd.Dispose();
        using PipeReadStream read = new(output.ReadEnd.Duplicate(), poller);

        Assert.IsType<StartOutcome.Started>(outcome);
        Assert.Equal("beside\n", await ReadAsync(read));
        Assert.Equal(new FurtherExit(5, 0), await further.Exited.WaitAsync(Patience));
        Assert.False(sandbox.Exited.IsCompleted);
    }

    [Fact]
    public async Task A_further_program_ends_with_the_main_one()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "sleep", "600");
        using Pipe pipe = Pipe.Create();
        (IFurtherProgram further, _, _) = await ExecuteAsync(sandbox, pipe, pipe, pipe, "sleep", "600");

        sandbox.Signal(15);

        Assert.Equal(EndBy(15), EndOf(await sandbox.Exited.WaitAsync(Patience)));
        Assert.NotEqual(new FurtherExit(0, 0), await further.Exited.WaitAsync(Patience));
    }

    [Fact]
    public async Task A_further_program_that_the_image_does_not_have_is_an_outcome()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "sleep", "600");
        using Pipe pipe = Pipe.Create();

        (IFurtherProgram further, StartOutcome outcome, _) = await ExecuteAsync(sandbox, pipe, pipe, pipe, "/no/such");

        Assert.Contains(
            "/no/such", Assert.IsType<StartOutcome.EntryPointMissing>(outcome).Detail, StringComparison.Ordinal);
        Assert.Null(await further.Exited.WaitAsync(Patience));
    }

    [Fact]
    public async Task A_paused_program_goes_on_when_resumed()
    {
        await using ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "cat");

        sandbox.Pause();
        sandbox.Pause();
        await sandbox.Streams.Input.WriteAsync("a"u8.ToArray());
        await sandbox.Streams.Input.DisposeAsync();
        sandbox.Resume();
        sandbox.Resume();

        Assert.Equal("a", await ReadAsync(sandbox.Streams.Output));
        Assert.Equal(0, (await sandbox.Exited.WaitAsync(Patience))!.ExitCode);
    }

    [Fact]
    public async Task A_paused_sandbox_can_be_removed()
    {
        ISandbox sandbox = await PrepareAsync();
        await StartAsync(sandbox, "sleep", "600");

        sandbox.Pause();
        await sandbox.DisposeAsync().AsTask().WaitAsync(Patience);

        Assert.False(sandbox.IsAlive);
    }

    [Fact]
    public async Task What_runs_is_told_without_the_init()
    {
        await using ISandbox sandbox = await PrepareAsync();
        Assert.Empty(sandbox.ReadProcesses());
        await StartAsync(sandbox, "sleep", "600");

        Assert.Single(sandbox.ReadProcesses());

        await sandbox.RemoveAsync();
        Assert.Empty(sandbox.ReadProcesses());
    }

    [Fact]
    public async Task A_sandbox_without_its_init_is_dead_and_has_no_report()
    {
        await using ISandbox sandbox = await PrepareAsync();

        sandbox.KillInit();

        Assert.Null(await sandbox.Exited.WaitAsync(Patience));
        Assert.False(sandbox.IsAlive);
    }

    [Fact]
    public async Task A_sweep_leaves_the_living_alone()
    {
        await using ISandbox sandbox = await PrepareAsync();

        await Engine.SweepAsync(CancellationToken.None);

        Assert.True(sandbox.IsAlive);
    }

    [Fact]
    public async Task A_canceled_preparation_throws()
    {
        using ImageHandle image = await OpenImageAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => Engine.PrepareAsync(Sandbox, image, extras: null, new CancellationToken(canceled: true)));
    }

    private static (int ExitCode, int Signal)? EndOf(ProgramExit? exit) =>
        exit is null ? null : (exit.ExitCode, exit.Signal);

    protected async Task<ISandbox> PrepareAsync()
    {
        ImageHandle image = await OpenImageAsync();
        return await Engine.PrepareAsync(Sandbox, image, extras: null, CancellationToken.None);
    }

    protected static async Task<StartOutcome> StartAsync(ISandbox sandbox, params string[] command) =>
        (await sandbox.StartAsync(Program(command), terminal: null, CancellationToken.None)).Outcome;

    private static ProgramStart Program(params string[] command) =>
        new(command, new Dictionary<string, string> { ["PATH"] = "/bin:/usr/bin" });

    private static Task<FurtherBeginning> ExecuteAsync(
        ISandbox sandbox, Pipe input, Pipe output, Pipe error, params string[] command) => sandbox.ExecuteAsync(
            Program(command), [input.ReadEnd, output.WriteEnd, error.WriteEnd], CancellationToken.None);

    protected static async Task<string> ReadAsync(Stream stream)
    {
        using var reader = new StreamReader(stream, Encoding.UTF8, leaveOpen: true);
        return await reader.ReadToEndAsync().WaitAsync(Patience);
    }
}
