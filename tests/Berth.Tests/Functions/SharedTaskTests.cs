using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Server.Results;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Calls that nobody waits for, of functions whose results answer more than one call.</summary>
public sealed class SharedTaskTests : SharedResultTest
{
    [Theory]
    [InlineData(10)]
    [InlineData(100_000)]
    public async Task A_task_takes_what_a_call_left_and_leaves_what_a_call_takes(int length)
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        (string one, string two) = (new string('a', length), new string('b', length));
        using HttpResponseMessage call = await CallAsync(one);
        string taken = await SubmitAsync(one);
        string left = await SubmitAsync(two);
        Assert.Equal((one, two), (await ResultAsync(taken), await ResultAsync(left)));
        await Eventually.HoldsAsync("both results are kept", () => Room.Count == 2);
        using HttpResponseMessage last = await CallAsync(two);

        Assert.Equal((2, 2), (Counts.Hits, Counts.Misses));
        Assert.Equal(left, Run(last));
        RunView run = await Client.Runs.GetAsync(taken, CancellationToken.None);
        Assert.Equal(("succeeded", 0), (run.State, run.ExitCode));
        Assert.Contains(
            $"Answered with the result of run {Run(call)}, which was asked for "
            + "the same.", await StoryAsync(taken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_result_is_not_taken_after_its_time_and_a_taken_one_does_not_live_longer()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1m"));
        await EndAsync(await SubmitAsync("x"));
        await Eventually.HoldsAsync("it is kept", () => Room.Count == 1);
        Time.Advance(TimeSpan.FromSeconds(40));
        await EndAsync(await SubmitAsync("x"));
        Time.Advance(TimeSpan.FromSeconds(20));
        await EndAsync(await SubmitAsync("x"));

        Assert.Equal((1, 2), (Counts.Hits, Counts.Misses));
    }

    [Fact]
    public async Task What_a_caller_says_of_kept_results_holds_when_the_task_is_executed()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        await EndAsync(await SubmitAsync("x", "no-store"));
        await EndAsync(await SubmitAsync("x"));
        await Eventually.HoldsAsync("it is kept", () => Room.Count == 1);
        await EndAsync(await SubmitAsync("x", "no-cache"));
        Time.Advance(TimeSpan.FromSeconds(10));
        await EndAsync(await SubmitAsync("x", "max-age=5"));
        await EndAsync(await SubmitAsync("x", "max-age=60"));

        Assert.Equal((1, 3), (Counts.Hits, Counts.Misses));
    }

    [Fact]
    public async Task Equal_tasks_at_once_are_one_execution_and_each_its_own_run()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sh", "-c", "sleep 30; cat"], Timeout: "10m", SingleFlight: true));
        string first = await SubmitAsync("same");
        await Eventually.HoldsAsync("the first runs", () => Counts.Misses == 1);
        string second = await SubmitAsync("same");
        await Eventually.HoldsAsync("the second waits", () => Counts.Waiting == 1);
        await AdvanceUntilEndedAsync(first, second);

        Assert.Equal(("same", "same"), (await ResultAsync(first), await ResultAsync(second)));
        Assert.Equal((1, 1, 0), (Counts.Misses, Counts.Coalesced, Counts.Waiting));
        Assert.Equal((0, 0L), (Room.Count, Room.Taken));
    }

    [Fact]
    public async Task A_failure_is_that_tasks_own()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sh", "-c", "sleep 30; exit 3"], Timeout: "10m", Cache: "1h", SingleFlight: true));
        string first = await SubmitAsync("x");
        await Eventually.HoldsAsync("the first runs", () => Counts.Misses == 1);
        string second = await SubmitAsync("x");
        await Eventually.HoldsAsync("the second waits", () => Counts.Waiting == 1);
        await AdvanceUntilEndedAsync(first, second);

        Assert.Equal((2, 0, 0), (Counts.Misses, Counts.Coalesced, Room.Count));
        Assert.Equal("failed", (await Client.Runs.GetAsync(second, CancellationToken.None)).State);
    }

    /// <summary>Returns the run's id.</summary>
    private async Task<string> SubmitAsync(string body, string? wish = null)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/f")
        {
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)),
        };
        request.Headers.Add("Prefer", "respond-async");
        if (wish is not null)
        {
            request.Headers.Add("Cache-Control", wish);
        }

        using HttpResponseMessage answer = await Rig.SendAsync(request);
        Assert.Equal(202, (int)answer.StatusCode);
        return Run(answer);
    }

    /// <summary>Without a limit: it would be one of the clock that the test moves.</summary>
    private Task<RunView> EndAsync(string run) => Client.Runs.WaitAsync(run, null, CancellationToken.None);

    private async Task<string> ResultAsync(string run)
    {
        await EndAsync(run);
        await using Stream result = await Client.Runs.OpenResultAsync(run, CancellationToken.None);
        using StreamReader reader = new(result);
        return await reader.ReadToEndAsync();
    }

    private async Task<string> StoryAsync(string run)
    {
        RunWhy why = await Client.Runs.WhyAsync(run, CancellationToken.None);
        return string.Join('\n', why.Events.Select(e => e.Detail));
    }

    private Task AdvanceUntilEndedAsync(params string[] runs) => AdvanceUntilAsync(Task.WhenAll(runs.Select(EndAsync)));
}
