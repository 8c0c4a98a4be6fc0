using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Xunit;

namespace Berth.Testing.Nodes;

/// <summary>What an <see cref="INode"/> promises beyond that of a sandbox that its program has for itself: programs
/// beside it, and pauses.</summary>
public abstract class NodeContract : ProgramContract
{
    [Fact]
    public async Task A_program_beside_the_main_one_has_its_own_streams_and_end()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);

        await using IExecution beside = await BesideAsync(
            attempt, Beside("sh", "-c", "echo out; echo err >&2; exit 4"));
        string output = Encoding.UTF8.GetString(await ReadAllAsync(beside.Output));
        string error = Encoding.UTF8.GetString(await ReadAllAsync(beside.Error));

        Assert.Equal(("out\n", "err\n"), (output, error));
        Assert.Equal(new ExecutionEnd(4, null), await beside.Completion.WaitAsync(Patience));
        Assert.False(attempt.Completion.IsCompleted);
    }

    [Fact]
    public async Task It_reads_what_it_is_given_and_knows_its_variables()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);
        await using IExecution cat = await BesideAsync(attempt, Beside("cat"));
        await using IExecution env = await BesideAsync(
            attempt, Beside("env") with { Environment = new Dictionary<string, string> { ["COLOR"] = "blue" } });

        await cat.Input.WriteAsync("echoed"u8.ToArray());
        await cat.Input.DisposeAsync();

        Assert.Equal("echoed", Encoding.UTF8.GetString(await ReadAllAsync(cat.Output)));
        string variables = Encoding.UTF8.GetString(await ReadAllAsync(env.Output));
        Assert.Contains("COLOR=blue\n", variables, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_ends_when_it_is_disposed_and_when_the_attempt_does()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);
        IExecution left = await BesideAsync(attempt, Beside("sleep", "600"));
        await using IExecution stayed = await BesideAsync(attempt, Beside("sleep", "600"));

        await left.DisposeAsync().AsTask().WaitAsync(Patience);
        Assert.True(left.Completion.IsCompleted);
        Assert.False(stayed.Completion.IsCompleted);
        attempt.Stop(EndReason.Canceled, TimeSpan.Zero);

        Assert.Null((await stayed.Completion.WaitAsync(Patience)).ExitCode);
    }

    [Fact]
    public async Task A_program_beside_that_the_image_does_not_have_is_refused_by_name()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => BesideAsync(attempt, Beside("/no/such")));

        Assert.Equal(ErrorCode.RunEntryPointMissing, error.Code);
        Assert.Contains("/no/such", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task After_the_end_nothing_runs_beside()
    {
        await using IAttempt attempt = await StartAsync(["true"]);
        await CompleteAsync(attempt);

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => BesideAsync(attempt, Beside("true")));

        Assert.Equal(ErrorCode.NodeFault, error.Code);
        Assert.Null(attempt.Measure());
        Assert.Empty(await attempt.ProcessesAsync(CancellationToken.None));
    }

    [Fact]
    public async Task What_is_paused_can_be_stopped()
    {
        await using IAttempt attempt = await StartAsync(["sleep", "600"]);
        Assert.Single(await attempt.ProcessesAsync(CancellationToken.None));
        Assert.NotNull(attempt.Measure());

        attempt.Pause();
        attempt.Stop(EndReason.Canceled, TimeSpan.FromMinutes(5));
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal((EndReason.Canceled, 15), (report.Reason, report.Signal));
    }

    private static Task<IExecution> BesideAsync(IAttempt attempt, ExecutionSpec spec) =>
        attempt.ExecuteAsync(spec, CancellationToken.None).WaitAsync(Patience);

    private static ExecutionSpec Beside(params string[] command) =>
        new(command, new Dictionary<string, string>(), null, null, Terminal: null);
}
