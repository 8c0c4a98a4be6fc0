using System.Net;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Testing.Content;
using Berth.Testing.Runs;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>What becomes of tasks that failed for good.</summary>
public sealed class DeadLetterTests : ServedTest
{
    [Fact]
    public async Task A_call_that_failed_waits_with_its_input_and_is_sent_again_to_what_was_repaired()
    {
        await DeployAsync(["false"]);
        RunView failed = await FinishAsync("hello");
        RunView letter = Assert.Single(await ListAsync("echo"));
        await DeployAsync(["cat"]);

        RunView again = await Client.Runs.RedriveAsync(letter.Id, CancellationToken.None);
        RunView ended = await Eventually.EndAsync(Rig, again.Id);

        Assert.Equal(("failed", "exit_code", failed.Id), (failed.State, failed.Reason, letter.Id));
        Assert.True(letter.ResultExpiresAt - letter.EndedAt == TimeSpan.FromDays(14), $"{letter.ResultExpiresAt}");
        Assert.Equal(("succeeded", "2", "echo"), (ended.State, ended.Labels["revision"], ended.Labels["function"]));
        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{ended.Id}/result");
        Assert.Equal("hello", await result.Content.ReadAsStringAsync());
        Assert.Empty(await ListAsync(null));
        RunEventView told = (await Rig.WhyAsync(letter.Id)).Events[^1];
        Assert.Equal("redriven", told.Type);
        Assert.Contains(again.Id, told.Detail, StringComparison.Ordinal);
        BerthException twice = await Assert.ThrowsAsync<BerthException>(
            () => Client.Runs.RedriveAsync(letter.Id, CancellationToken.None));
        Assert.Equal(ErrorCode.Conflict, twice.Code);
    }

    [Fact]
    public async Task What_is_asked_twice_at_once_is_sent_again_once()
    {
        await DeployAsync(["false"]);
        string id = (await FinishAsync("hello")).Id;
        await DeployAsync(["cat"]);

        string?[] again = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => TryAsync()));

        Assert.Single(again.OfType<string>().Distinct());
        Assert.Equal(2, (await Rig.RunsAsync("kind=task")).Runs.Count);

        // Null where somebody else was first.
        async Task<string?> TryAsync()
        {
            try
            {
                return (await Client.Runs.RedriveAsync(id, CancellationToken.None)).Id;
            }
            catch (BerthException late) when (late.Code == ErrorCode.Conflict)
            {
                return null;
            }
        }
    }

    [Fact]
    public async Task A_task_of_an_image_is_one_when_its_attempts_or_its_time_ran_out_alone()
    {
        RunView said = await Rig.FinishAsync(["sh", "-c", "exit 3"]);
        RunView exhausted = await Rig.FinishAsync(
            ["sh", "-c", "exit 3"], null, ("Berth-Attempts", "1"), ("Berth-Retry-Failures", "true"));
        RunView canceled = await Rig.SubmitAsync(["sleep", "600"]);
        (await Rig.Client.PostAsync($"/v1/runs/{canceled.Id}/cancel", null)).Dispose();
        await Eventually.EndAsync(Rig, canceled.Id);

        string letter = Assert.Single(await ListAsync(null)).Id;

        Assert.Equal(("failed", exhausted.Id), (said.State, letter));
    }

    [Fact]
    public async Task Pages_and_functions_are_told_apart_and_a_purged_one_is_listed_no_more()
    {
        await DeployAsync(["false"]);
        await DeployAsync(["false"], "other");
        string[] ids = [(await FinishAsync("1")).Id, (await FinishAsync("2")).Id, (await FinishAsync("3")).Id];
        string other = (await FinishAsync("4", "other")).Id;

        using HttpResponseMessage page = await Rig.GetAsync("/v1/dead-letters?limit=2&function=echo");
        await Client.Runs.PurgeAsync(ids[1], CancellationToken.None);

        Assert.Contains($"\"next\":\"{ids[1]}\"", await page.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal([ids[2], ids[0]], (await ListAsync("echo")).Select(r => r.Id));
        Assert.Equal([other, ids[2], ids[0]], (await ListAsync(null)).Select(r => r.Id));
        RunView purged = await Rig.RunAsync(ids[1]);
        Assert.Equal("failed", purged.State);
        Assert.True(purged.ResultExpiresAt <= TimeProvider.System.GetUtcNow(), "Its input goes at once.");
        using HttpResponseMessage twice = await Rig.Client.DeleteAsync($"/v1/dead-letters/{ids[1]}");
        await twice.ProblemAsync(409, "conflict");
        using HttpResponseMessage unknown = await Rig.Client.DeleteAsync("/v1/dead-letters/" + new string('0', 26));
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
    }

    [Fact]
    public async Task A_function_that_is_gone_keeps_its_dead_letters_and_says_why_they_can_not_be_sent()
    {
        await DeployAsync(["false"]);
        string id = (await FinishAsync("hello")).Id;
        await Client.Functions.RemoveAsync("echo", CancellationToken.None);

        BerthException gone = await Assert.ThrowsAsync<BerthException>(
            () => Client.Runs.RedriveAsync(id, CancellationToken.None));

        Assert.Equal(ErrorCode.NotFound, gone.Code);
        Assert.Equal(id, Assert.Single(await ListAsync("echo")).Id);
    }

    [Fact]
    public async Task They_outlive_a_restart_and_are_let_go_by_age_and_number()
    {
        using TemporaryFolder folder = new();
        string id;
        await using (ServerRig first = await ServerRig.StartAsync(folder: folder))
        {
            id = (await first.FinishAsync(
                ["false"], null, ("Berth-Attempts", "1"), ("Berth-Retry-Failures", "true"))).Id;
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        IRunStore store = second.Server.Rooms.Store;
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        RunQuery letters = new(null, null, null, new Dictionary<string, string>(), 10, null) { IsDeadLetter = true };

        Assert.Equal(id, Assert.Single(await store.ListAsync(letters, CancellationToken.None)).Id.Text);
        Assert.Equal(0, await store.TrimDeadLettersAsync(now, 1, CancellationToken.None));
        Assert.Empty(await store.DeleteEndedAsync(now.AddDays(1), 10, CancellationToken.None));
        string next = (await second.FinishAsync(
            ["false"], null, ("Berth-Attempts", "1"), ("Berth-Retry-Failures", "true"))).Id;
        Assert.Equal(1, await store.TrimDeadLettersAsync(now, 1, CancellationToken.None));
        Assert.Equal(next, Assert.Single(await store.ListAsync(letters, CancellationToken.None)).Id.Text);
        Assert.Equal(0, await store.TrimDeadLettersAsync(now.AddDays(13), 1, CancellationToken.None));
        Assert.Equal(1, await store.TrimDeadLettersAsync(now.AddDays(15), 1, CancellationToken.None));
        Assert.Empty(await store.ListAsync(letters, CancellationToken.None));
    }

    [Theory]
    [InlineData(EndReason.Expired, false, true)]
    [InlineData(EndReason.PlatformFault, false, true)]
    [InlineData(EndReason.NoAnswer, false, true)]
    [InlineData(EndReason.ExitCode, false, false)]
    [InlineData(EndReason.ExitCode, true, true)]
    [InlineData(EndReason.NotRunnable, true, true)]
    [InlineData(EndReason.Completed, true, false)]
    [InlineData(EndReason.Canceled, true, false)]
    public void Which_ends_make_one(EndReason reason, bool ofFunction, bool holds)
    {
        RunChange end = RunBuilder.Ending(RunBuilder.Accepted(), reason, RunBuilder.Noon);
        TimeSpan keep = TimeSpan.FromDays(2);

        Run marked = DeadLetters.Mark(end, ofFunction, keep).Next;

        Assert.Equal(holds, marked.IsDeadLetter);
        Assert.Equal(holds ? RunBuilder.Noon + keep : end.Next.ResultExpiresAt, marked.ResultExpiresAt);
        Assert.False(
            DeadLetters.Mark(end with { Next = end.Next with { Kind = RunKind.Call } }, true, keep).Next.IsDeadLetter,
            "A call's caller was told.");
    }

    private Task<FunctionDeployment> DeployAsync(string[] command, string name = "echo") =>
        Client.Functions.DeployAsync(
            name, new FunctionRequest(ServerRig.Image, command), CancellationToken.None);

    private async Task<IReadOnlyList<RunView>> ListAsync(string? function) =>
        await Client.Runs.DeadLettersAsync(function, 100, CancellationToken.None).ToListAsync();

    private async Task<RunView> FinishAsync(string input, string name = "echo")
    {
        using StringContent body = new(input);
        using HttpResponseMessage accepted = await Rig.Client.PostAsync($"/async-function/{name}", body);
        return await Eventually.EndAsync(Rig, (await accepted.RunAsync()).Id);
    }
}
