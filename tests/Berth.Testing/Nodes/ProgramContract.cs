using System.Globalization;
using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Xunit;

namespace Berth.Testing.Nodes;

/// <summary>
/// What every <see cref="INode"/> promises of one program, in a sandbox of whatever shape, as tests. The commands are
/// busybox's; a node under test offers an image (or an imitation of one) that has them. Nothing here may depend on how
/// fast the machine is.
/// </summary>
public abstract class ProgramContract
{
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private int attempts;

    /// <summary>A started node.</summary>
    protected abstract INode Node { get; }

    /// <summary>An image with busybox's commands; its memory limit small enough to be reached soon.</summary>
    protected abstract SandboxSpec Sandbox { get; }

    [Fact]
    public async Task Standard_input_comes_back_from_cat()
    {
        await using IAttempt attempt = await StartAsync(["cat"]);

        byte[] body = [.. Enumerable.Range(0, 200_000).Select(i => (byte)i)];
        Task writing = WriteAndCloseAsync(attempt, body);
        byte[] output = await ReadAllAsync(attempt.Output);
        await writing;
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(body, output);
        Assert.Equal(EndReason.Completed, report.Reason);
        Assert.Equal(0, report.ExitCode);
        Assert.Equal(body.Length, report.Usage.BytesIn);
        Assert.Equal(body.Length, report.Usage.BytesOut);
    }

    [Fact]
    public async Task A_program_need_not_read_its_input()
    {
        await using IAttempt attempt = await StartAsync(["echo", "hello", "world"]);

        string output = Encoding.UTF8.GetString(await ReadAllAsync(attempt.Output));
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal("hello world\n", output);
        Assert.Equal(EndReason.Completed, report.Reason);
    }

    [Fact]
    public async Task Writing_to_a_program_that_is_gone_throws_IOException()
    {
        await using IAttempt attempt = await StartAsync(["true"]);
        await CompleteAsync(attempt);

        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            // A pipe's reader can be seen to be gone only by writing; one write may still fit into the pipe.
            for (int i = 0; i < 64; i++)
            {
                await attempt.Input.WriteAsync(new byte[64 * 1024]).AsTask().WaitAsync(Patience);
            }
        });
    }

    [Theory]
    [InlineData(1)]
    [InlineData(77)]
    [InlineData(255)]
    public async Task The_exit_code_is_reported(int code)
    {
        await using IAttempt attempt = await StartAsync(["sh", "-c", $"exit {code}"]);

        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.ExitCode, report.Reason);
        Assert.Equal(code, report.ExitCode);
        Assert.Null(report.Signal);
    }

    [Fact]
    public async Task A_signal_for_the_program_is_its_end_if_it_is_one()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);

        attempt.Signal(15);
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal((EndReason.Signal, 15), (report.Reason, report.Signal));
    }

    [Fact]
    public async Task Without_a_deadline_a_program_runs_until_it_ends()
    {
        await using IAttempt attempt = await Node.StartAsync(
            Spec(["sh", "-c", "exit 3"], TimeSpan.Zero) with { Timeout = null }, CancellationToken.None);

        Assert.Equal(3, (await CompleteAsync(attempt)).ExitCode);
    }

    [Fact]
    public async Task Standard_error_is_a_stream_of_its_own()
    {
        await using IAttempt attempt = await StartAsync(["sh", "-c", "echo out; echo wrong >&2; exit 3"]);

        string output = Encoding.UTF8.GetString(await ReadAllAsync(attempt.Output));
        string error = Encoding.UTF8.GetString(await ReadAllAsync(attempt.Error));
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal("out\n", output);
        Assert.Equal("wrong\n", error);
        Assert.Equal(3, report.ExitCode);
    }

    [Fact]
    public async Task A_signal_that_nobody_sent_is_reported_as_one()
    {
        await using IAttempt attempt = await StartAsync(["sh", "-c", "kill -9 $$"]);

        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.Signal, report.Reason);
        Assert.Equal(9, report.Signal);
        Assert.Null(report.ExitCode);
    }

    [Fact]
    public async Task Reaching_the_memory_limit_is_told_apart_from_a_signal()
    {
        await using IAttempt attempt = await StartAsync(["tail", "/dev/zero"]);

        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.OutOfMemory, report.Reason);
        Assert.NotNull(report.Detail);
    }

    [Fact]
    public async Task A_missing_entry_point_is_reported_not_thrown()
    {
        await using IAttempt attempt = await StartAsync(["/no/such/program"]);
        Assert.True(attempt.Completion.IsCompleted);

        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.EntryPointMissing, report.Reason);
        Assert.Contains("/no/such/program", report.Detail, StringComparison.Ordinal);
        Assert.Empty(await ReadAllAsync(attempt.Output));
    }

    [Fact]
    public async Task The_environment_reaches_the_program()
    {
        await using IAttempt attempt = await StartAsync(["env"]);

        string output = Encoding.UTF8.GetString(await ReadAllAsync(attempt.Output));

        Assert.Contains("GREETING=good day\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_deadline_ends_the_program()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"], TimeSpan.FromMilliseconds(300));

        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.TimedOut, report.Reason);
        Assert.NotNull(report.Detail);
    }

    [Fact]
    public async Task A_program_that_ignores_SIGTERM_is_killed_after_its_grace()
    {
        await using IAttempt attempt = await StartAsync(["sh", "-c", "trap '' TERM; echo ready; sleep 600"]);
        await ReadSomeAsync(attempt.Output);

        attempt.Stop(EndReason.Canceled, TimeSpan.FromMilliseconds(200));
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.Canceled, report.Reason);
    }

    [Theory]
    [InlineData(EndReason.Canceled)]
    [InlineData(EndReason.ClientGone)]
    [InlineData(EndReason.OutputLimit)]
    public async Task Stopping_gives_the_report_its_reason(EndReason reason)
    {
        await using IAttempt attempt = await StartAsync(["yes"]);
        await ReadSomeAsync(attempt.Output);

        attempt.Stop(reason, TimeSpan.Zero);
        attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(reason, report.Reason);
    }

    [Fact]
    public async Task Stopping_an_ended_attempt_changes_nothing()
    {
        await using IAttempt attempt = await StartAsync(["true"]);
        await CompleteAsync(attempt);

        attempt.Stop(EndReason.Canceled, TimeSpan.Zero);

        Assert.Equal(EndReason.Completed, (await attempt.Completion).Reason);
    }

    [Fact]
    public async Task Disposing_ends_the_program()
    {
        IAttempt attempt = await StartAsync(["sleep", "600"]);

        await attempt.DisposeAsync().AsTask().WaitAsync(Patience);

        Assert.True(attempt.Completion.IsCompleted);
        Assert.True(attempt.Progress.Completion.IsCompleted);
    }

    [Fact]
    public async Task A_running_attempt_is_listed()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);

        SandboxView view = Assert.Single(Node.Status().Sandboxes, s => s.Attempt == attempt.Spec.Id);

        Assert.Equal("running", view.State);
        Assert.Equal(Sandbox.Image, view.Image);
    }

    [Fact]
    public async Task Attempts_run_side_by_side()
    {
        IAttempt[] started = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => StartAsync(["cat"])));

        string[] outputs = await Task.WhenAll(started.Select(async (attempt, i) =>
        {
            await WriteAndCloseAsync(attempt, Encoding.UTF8.GetBytes($"call {i}"));
            return Encoding.UTF8.GetString(await ReadAllAsync(attempt.Output));
        }));

        Assert.Equal(["call 0", "call 1", "call 2", "call 3"], outputs);
        foreach (IAttempt attempt in started)
        {
            await attempt.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_canceled_start_throws_and_leaves_nothing_running()
    {
        using var canceled = new CancellationTokenSource();
        await canceled.CancelAsync();
        AttemptSpec spec = Spec(["cat"], TimeSpan.FromMinutes(1));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Node.StartAsync(spec, canceled.Token));

        Assert.DoesNotContain(Node.Status().Sandboxes, s => s.Attempt == spec.Id);
    }

    /// <summary>Starts a busybox command; the deadline is far unless <paramref name="limit"/> is given.</summary>
    protected Task<IAttempt> StartAsync(string[] command, TimeSpan? limit = null) =>
        Node.StartAsync(Spec(command, limit ?? TimeSpan.FromMinutes(2)), CancellationToken.None);

    protected AttemptSpec Spec(string[] command, TimeSpan limit)
    {
        var run = RunId.New(TimeProvider.System.GetUtcNow());
        int number = Interlocked.Increment(ref attempts);
        return new AttemptSpec(
            string.Create(CultureInfo.InvariantCulture, $"{run}-{number}"), run, number, Sandbox, command, null,
            new Dictionary<string, string> { ["GREETING"] = "good day" }, null, null, limit,
            TimeSpan.FromMilliseconds(300));
    }

    protected static async Task<AttemptReport> CompleteAsync(IAttempt attempt) =>
        await attempt.Completion.WaitAsync(Patience);

    protected static async Task<byte[]> ReadAllAsync(Stream stream)
    {
        using var all = new MemoryStream();
        await stream.CopyToAsync(all).WaitAsync(Patience);
        return all.ToArray();
    }

    protected static async Task ReadSomeAsync(Stream stream)
    {
        int read = await stream.ReadAsync(new byte[64]).AsTask().WaitAsync(Patience);
        Assert.True(read > 0, "The program ended before it wrote anything.");
    }

    protected static async Task WriteAndCloseAsync(IAttempt attempt, byte[] body)
    {
        await attempt.Input.WriteAsync(body).AsTask().WaitAsync(Patience);
        await attempt.Input.DisposeAsync();
    }
}
