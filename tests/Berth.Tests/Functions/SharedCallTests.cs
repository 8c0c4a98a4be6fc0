using System.Net;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Secrets;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Results;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Results that answer more than one call, with a node in memory and a clock that the test moves.</summary>
public sealed class SharedCallTests : SharedResultTest
{
    [Fact]
    public async Task A_result_answers_equal_calls_until_its_time_is_over()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ContentType: "text/x-own", Cache: "1m"));
        using HttpResponseMessage first = await CallAsync("hello");
        Time.Advance(TimeSpan.FromSeconds(40));

        using HttpResponseMessage second = await CallAsync("hello");
        Time.Advance(TimeSpan.FromSeconds(20));
        using HttpResponseMessage third = await CallAsync("hello");

        Assert.Equal(("miss", "hit", "miss"), (Cache(first), Cache(second), Cache(third)));
        Assert.Equal("hello", await second.Content.ReadAsStringAsync());
        Assert.Equal("text/x-own", second.Content.Headers.ContentType!.MediaType);
        Assert.Equal((5, "40"), (second.Content.Headers.ContentLength, second.Headers.GetValues("Age").Single()));
        Assert.Equal("1", second.Headers.GetValues("Berth-Revision").Single());
        Assert.Equal(Run(first), Run(second));
        Assert.NotEqual(Run(first), Run(third));
        Assert.False(second.Headers.Contains("Berth-Cpu-Ms"), "Nothing was used.");
        Assert.False(first.Headers.Contains("Age"));
    }

    [Theory]
    [InlineData("/v1/functions/f", "/v1/functions/f", "a", "b")]
    [InlineData("/v1/functions/f/x", "/v1/functions/f/y", "a", "a")]
    [InlineData("/v1/functions/f?x=1", "/v1/functions/f?x=2", "a", "a")]
    [InlineData("/v1/functions/f", "/v1/functions/f", "", " ")]
    public async Task What_a_program_is_told_is_what_its_result_is_found_by(
        string path, string other, string body, string otherBody)
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        using HttpResponseMessage first = await CallAsync(body, path);
        using HttpResponseMessage second = await CallAsync(otherBody, other);
        using HttpResponseMessage again = await CallAsync(body, path);

        Assert.Equal(("miss", "miss", "hit"), (Cache(first), Cache(second), Cache(again)));
    }

    [Fact]
    public async Task Arguments_and_revisions_tell_results_apart_and_headers_are_not_told()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["env"], Cache: "1h"));
        using HttpResponseMessage first = await CallAsync("", headers: ("X-Mine", "secret"));
        using HttpResponseMessage second = await CallAsync("", headers: ("X-Mine", "other"));
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["env"], Cache: "1h", Memory: "64Mi"));
        using HttpResponseMessage third = await CallAsync("");
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo"], Cache: "1h", PassArguments: true));
        using HttpResponseMessage one = await CallAsync("", headers: ("Berth-Arg", "1"));
        using HttpResponseMessage two = await CallAsync("", headers: ("Berth-Arg", "2"));

        Assert.Equal(("miss", "hit", "miss"), (Cache(first), Cache(second), Cache(third)));
        Assert.DoesNotContain("HTTP_", await first.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(("1\n", "2\n"), (await one.Content.ReadAsStringAsync(), await two.Content.ReadAsStringAsync()));
    }

    [Fact]
    public async Task A_caller_may_ask_for_a_new_result_or_that_none_is_kept()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        using HttpResponseMessage first = await CallAsync("x", headers: ("Cache-Control", "no-store"));
        using HttpResponseMessage second = await CallAsync("x");
        using HttpResponseMessage renewed = await CallAsync("x", headers: ("Cache-Control", "max-age=0, no-cache"));
        using HttpResponseMessage last = await CallAsync("x");

        Assert.False(first.Headers.Contains("Berth-Cache"));
        Assert.Equal(("miss", "miss", "hit"), (Cache(second), Cache(renewed), Cache(last)));
        Assert.Equal(Run(renewed), Run(last));
    }

    [Theory]
    [InlineData("exit 3", 502)]
    [InlineData("echo out; kill -9 $$", 502)]
    public async Task A_failure_is_not_kept(string script, int status)
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sh", "-c", script], Cache: "1h", SingleFlight: true));
        using HttpResponseMessage first = await CallAsync("x");
        using HttpResponseMessage second = await CallAsync("x");

        Assert.Equal((status, status), ((int)first.StatusCode, (int)second.StatusCode));
        Assert.NotEqual(Run(first), Run(second));
        Assert.Equal(0, Room.Count);
    }

    [Fact]
    public async Task Large_results_come_whole_from_disk_and_the_largest_are_not_kept()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        byte[] large = new byte[SharedCalls.Largest];
        new Random(1).NextBytes(large);
        byte[] larger = [.. large, 1];

        foreach ((byte[] body, string? expected) in ((byte[], string?)[])[(large, "hit"), (larger, null)])
        {
            using HttpResponseMessage first = await PostAsync(body);
            Assert.Equal(body, await first.Content.ReadAsByteArrayAsync());
            using HttpResponseMessage second = await PostAsync(body);
            Assert.Equal(body, await second.Content.ReadAsByteArrayAsync());
            Assert.Equal(expected, second.Headers.TryGetValues("Berth-Cache", out var how) ? how.Single() : null);
        }

        // No file of theirs has a name.
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(Rig.Folder, "overflow")));
    }

    [Theory]
    [InlineData(30_000, "hit", "hit")]
    [InlineData(50_000, null, null)]
    [InlineData(90_000, null, null)]
    public async Task What_finds_no_room_is_passed_on_whole(int length, string? kept, string? flown)
    {
        await RestartAsync(ByteSize.KiB(64));
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h", SingleFlight: true));
        byte[] body = new byte[length];
        new Random(3).NextBytes(body);

        foreach (string? expected in (string?[])["miss", kept, flown])
        {
            using HttpResponseMessage answer = await PostAsync(body);
            Assert.Equal(body, await answer.Content.ReadAsByteArrayAsync());
            Assert.Equal(expected ?? (length < 60_000 ? "miss" : null), length < 60_000 ? Cache(answer) : expected);
        }
    }

    [Fact]
    public async Task Equal_calls_at_once_are_one_execution()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sleep", "60"], Timeout: "10m", SingleFlight: true));
        Task<HttpResponseMessage>[] calls = [.. Enumerable.Range(0, 5).Select(_ => CallAsync("same"))];
        Task<HttpResponseMessage> other = CallAsync("other");
        await Eventually.HoldsAsync("four calls wait", () => Counts.Waiting == 4);
        await Eventually.HoldsAsync("two programs run", () => Rig.Server.Rooms.Runs.Statistics().Running == 2);
        await AdvanceUntilAsync(Task.WhenAll([.. calls, other]));

        HttpResponseMessage[] answers = await Task.WhenAll(calls);
        Assert.Equal(4, answers.Count(a => Cache(a) == "coalesced"));
        Assert.Single(answers.Select(Run).Distinct());
        Assert.NotEqual(Run(answers[0]), Run(await other));
        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.StatusCode));
        // Without a cache the next one is executed again.
        Assert.Equal((2, 4, 0), (Counts.Misses, Counts.Coalesced, Counts.Hits));
        Assert.Equal((0, 0L), (Room.Count, Room.Taken));
    }

    [Fact]
    public async Task A_program_that_fails_fails_for_all_who_wait_and_is_not_tried_again()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sh", "-c", "sleep 60; exit 3"], Timeout: "10m", SingleFlight: true));
        Task<HttpResponseMessage> first = CallAsync("x");
        Task<HttpResponseMessage> second = CallAsync("x");
        await Eventually.HoldsAsync("one waits", () => Counts.Waiting == 1);
        await AdvanceUntilAsync(Task.WhenAll(first, second));

        await (await first).ProblemAsync(502, "run_failed");
        await (await second).ProblemAsync(502, "run_failed");
        Assert.Equal(Run(await first), Run(await second));
        Assert.Equal((1, 1), (Counts.Misses, Counts.Coalesced));
    }

    [Fact]
    public async Task A_shorter_time_of_one_is_no_others()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sleep", "60"], Timeout: "10m", SingleFlight: true));
        Task<HttpResponseMessage> hasty = CallAsync("x", headers: ("Berth-Timeout", "30s"));
        await Eventually.HoldsAsync("the first runs", () => Rig.Server.Rooms.Runs.Statistics().Running == 1);
        Task<HttpResponseMessage> patient = CallAsync("x");
        await Eventually.HoldsAsync("one waits", () => Counts.Waiting == 1);
        await AdvanceUntilAsync(Task.WhenAll(hasty, patient));

        await (await hasty).ProblemAsync(504, "run_timed_out");
        Assert.Equal((HttpStatusCode.OK, "miss"), ((await patient).StatusCode, Cache(await patient)));
    }

    [Fact]
    public async Task Who_has_waited_his_time_is_told_so_and_the_execution_goes_on()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sleep", "60"], Timeout: "10m", SingleFlight: true));
        Task<HttpResponseMessage> patient = CallAsync("x");
        await Eventually.HoldsAsync("the first runs", () => Rig.Server.Rooms.Runs.Statistics().Running == 1);
        Task<HttpResponseMessage> hasty = CallAsync("x", headers: ("Berth-Timeout", "30s"));
        await Eventually.HoldsAsync("one waits", () => Counts.Waiting == 1);
        await AdvanceUntilAsync(Task.WhenAll(hasty, patient));

        await (await hasty).ProblemAsync(504, "run_timed_out");
        Assert.Equal((HttpStatusCode.OK, "miss"), ((await patient).StatusCode, Cache(await patient)));
        Assert.Equal(1, Counts.Misses);
    }

    [Fact]
    public async Task Who_leaves_takes_nobody_with_him_and_the_last_one_the_program()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sh", "-c", "sleep 60; cat"], Timeout: "10m", Cache: "1h", SingleFlight: true));
        using CancellationTokenSource leader = new();
        using CancellationTokenSource follower = new();
        Task<HttpResponseMessage> first = CallAsync("same", cancellationToken: leader.Token);
        await Eventually.HoldsAsync("the first runs", () => Rig.Server.Rooms.Runs.Statistics().Running == 1);
        Task<HttpResponseMessage> leaving = CallAsync("same", cancellationToken: follower.Token);
        Task<HttpResponseMessage> staying = CallAsync("same");
        await Eventually.HoldsAsync("two wait", () => Counts.Waiting == 2);

        await follower.CancelAsync();
        await Eventually.HoldsAsync("one waits", () => Counts.Waiting == 1);
        await leader.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        Assert.Equal(1, Rig.Server.Rooms.Runs.Statistics().Running);
        await AdvanceUntilAsync(staying);

        using HttpResponseMessage answer = await staying;
        Assert.Equal((HttpStatusCode.OK, "coalesced"), (answer.StatusCode, Cache(answer)));
        Assert.Equal("same", await answer.Content.ReadAsStringAsync());
        Assert.Equal((1, 1), (Counts.Misses, Room.Count));

        using CancellationTokenSource alone = new();
        Task<HttpResponseMessage> last = CallAsync("other", cancellationToken: alone.Token);
        await Eventually.HoldsAsync("it runs", () => Rig.Server.Rooms.Runs.Statistics().Running == 1);
        await alone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => last);
        await Eventually.HoldsAsync("it has ended", () => Rig.Server.Rooms.Runs.Statistics().Running == 0);
        Assert.Equal(1, Room.Count);
    }

    [Fact]
    public async Task Another_value_of_a_secret_is_another_result()
    {
        await PutSecretAsync("one");
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["env"], Cache: "1h", Secrets: ["key:env=KEY"]));
        using HttpResponseMessage first = await CallAsync("");
        await PutSecretAsync("two");
        using HttpResponseMessage second = await CallAsync("");
        using HttpResponseMessage third = await CallAsync("");

        Assert.Equal(("miss", "miss", "hit"), (Cache(first), Cache(second), Cache(third)));
        Assert.Contains("KEY=two", await third.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_function_of_the_same_name_later_has_other_results()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        using HttpResponseMessage first = await CallAsync("x");
        await Client.Functions.RemoveAsync("f", CancellationToken.None);
        Time.Advance(TimeSpan.FromMilliseconds(1));
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h"));
        using HttpResponseMessage second = await CallAsync("x");

        Assert.Equal(("miss", "miss"), (Cache(first), Cache(second)));
    }

    [Fact]
    public async Task Calls_that_nobody_waits_for_and_streamed_ones_are_each_executed()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "1h", SingleFlight: true));
        using HttpResponseMessage kept = await CallAsync("x");
        using HttpResponseMessage task = await CallAsync("x", headers: ("Prefer", "respond-async, wait=60"));
        using HttpResponseMessage streamed = await CallAsync("x", headers: ("Berth-Stream", "true"));

        Assert.Equal("x", await streamed.Content.ReadAsStringAsync());
        Assert.All([task, streamed], a => Assert.False(a.Headers.Contains("Berth-Cache")));
        Assert.Equal(3, new[] { kept, task, streamed }.Select(Run).Distinct().Count());
    }

    [Fact]
    public async Task A_revision_tells_how_its_results_are_shared()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Cache: "90s", SingleFlight: true));
        FunctionDeployment same = await DeployAsync(new FunctionRequest(
            ServerRig.Image, Cache: "1m30s", SingleFlight: true));
        FunctionDeployment other = await DeployAsync(new FunctionRequest(ServerRig.Image, SingleFlight: true));
        IReadOnlyList<RevisionView> revisions = await Client.Functions.RevisionsAsync("f", CancellationToken.None);

        Assert.Equal((false, true), (same.Changed, other.Changed));
        Assert.Equal(
            [((string?)null, true), ("90s", true)], revisions.Select(r => (r.Spec.Cache, r.Spec.SingleFlight)));
    }

    [Fact]
    public async Task No_more_wait_than_may()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sleep", "60"], Timeout: "10m", SingleFlight: true, MaxWaiting: 1));
        Task<HttpResponseMessage> first = CallAsync("same");
        await Eventually.HoldsAsync("the first runs", () => Rig.Server.Rooms.Runs.Statistics().Running == 1);
        Task<HttpResponseMessage> second = CallAsync("same");
        await Eventually.HoldsAsync("one waits", () => Counts.Waiting == 1);

        using HttpResponseMessage third = await CallAsync("same");

        await third.ProblemAsync(429, "queue_full");
        await AdvanceUntilAsync(Task.WhenAll(first, second));
    }

    [Theory]
    [InlineData("http", "cache")]
    [InlineData("http", "singleFlight")]
    [InlineData("stdio", "1ms")]
    [InlineData("stdio", "forever")]
    public async Task What_can_not_be_shared_is_refused(string contract, string what)
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => DeployAsync(new FunctionRequest(
            ServerRig.Image, Contract: contract, Cache: what == "cache" ? "1m" : what == "singleFlight" ? null : what,
            SingleFlight: what == "singleFlight")));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
    }

    private static string Cache(HttpResponseMessage answer) => answer.Headers.GetValues("Berth-Cache").Single();

    private Task<SecretView> PutSecretAsync(string value) =>
        Client.Secrets.PutAsync("key", Encoding.UTF8.GetBytes(value), replace: true, CancellationToken.None);

    private Task<HttpResponseMessage> PostAsync(byte[] body) => Rig.SendAsync(
        new HttpRequestMessage(HttpMethod.Post, "/v1/functions/f") { Content = new ByteArrayContent(body) });
}
