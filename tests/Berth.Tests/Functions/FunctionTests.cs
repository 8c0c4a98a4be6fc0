using System.Net;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Functions over HTTP, with a node in memory.</summary>
public sealed class FunctionTests : ServedTest
{
    [Fact]
    public async Task A_call_runs_the_image_as_the_revision_says_and_its_run_says_so()
    {
        FunctionDeployment made = await DeployAsync(
            new FunctionRequest(
                ServerRig.Image, ContentType: "text/plain",
                Labels: new Dictionary<string, string> { ["team"] = "a" }));

        using HttpResponseMessage answer = await PostAsync("/v1/functions/echo/a/b?x=1", "hello");
        RunView run = await RunOfAsync(answer);

        Assert.Equal((1, true), (made.Revision, made.Changed));
        Assert.Equal("hello", await answer.Content.ReadAsStringAsync());
        Assert.Equal("text/plain", answer.Content.Headers.ContentType!.MediaType);
        Assert.Equal("1", answer.Headers.GetValues("Berth-Revision").Single());
        Assert.Equal(("echo", "1", "a"), (run.Labels["function"], run.Labels["revision"], run.Labels["team"]));
    }

    [Fact]
    public async Task A_program_is_told_path_function_and_revision_and_no_request_changes_what_the_revision_sets()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["env"],
            Environment: new Dictionary<string, string> { ["HTTP_SECRET"] = "own" }));

        using HttpRequestMessage request = new(HttpMethod.Put, "/v1/functions/echo/cats/1.jpg");
        request.Headers.Add("Secret", "forged");
        using HttpResponseMessage answer = await Rig.SendAsync(request);

        string[] told = (await answer.Content.ReadAsStringAsync()).Split('\n');
        Assert.Superset(
            new HashSet<string>
            {
                "PATH_INFO=/cats/1.jpg", "BERTH_FUNCTION=echo", "BERTH_REVISION=1", "HTTP_SECRET=own",
                "REQUEST_METHOD=PUT",
            },
            told.ToHashSet());
    }

    [Fact]
    public async Task The_same_settings_make_no_revision_and_others_do()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image));

        FunctionDeployment same = await DeployAsync(new FunctionRequest(ServerRig.Image));
        FunctionDeployment other = await DeployAsync(new FunctionRequest(ServerRig.Image, Memory: "64Mi", Traffic: 10));
        IReadOnlyList<RevisionView> revisions = await Client.Functions.RevisionsAsync("echo", CancellationToken.None);
        FunctionDeployment again = await Client.Functions.DeployAsync(
            "copy", revisions[0].Spec, CancellationToken.None);
        IReadOnlyList<RevisionView> copied = await Client.Functions.RevisionsAsync("copy", CancellationToken.None);

        Assert.Equal((1, false), (same.Revision, same.Changed));
        Assert.Equal((2, true), (other.Revision, other.Changed));
        Assert.Equal([(2, 10), (1, 90)], revisions.Select(r => (r.Number, r.Percent)));
        Assert.True(again.Changed);
        Assert.Equal(revisions[0].Spec.ToString(), copied[0].Spec.ToString());
    }

    [Fact]
    public async Task Calls_are_split_and_a_revision_is_reached_by_number_and_by_tag()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "one"]));
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "two"], Traffic: 50, Tag: "next"));

        HashSet<string> seen = [];
        for (int i = 0; i < 200 && seen.Count < 2; i++)
        {
            seen.Add(await CallAsync("echo"));
        }

        Assert.Equal(["one\n", "two\n"], seen.Order());
        Assert.Equal(["one\n", "two\n", "two\n"],
            [await CallAsync("echo@1"), await CallAsync("echo@2"), await CallAsync("echo@next")]);
        await Client.Functions.RollBackAsync("echo", null, CancellationToken.None);
        Assert.All(await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => CallAsync("echo"))),
            text => Assert.Equal("one\n", text));
    }

    [Fact]
    public async Task An_image_stays_without_a_name_for_as_long_as_a_function_has_it()
    {
        await using ServerRig own = await ServerRig.StartAsync(o => o with { CollectGrace = TimeSpan.Zero });
        using BerthClient caller = new(own.Address, own.AdminToken, TimeProvider.System);
        await caller.Functions.DeployAsync("echo", new FunctionRequest(ServerRig.Image), CancellationToken.None);
        await own.Client.DeleteAsync("/v1/images/" + ServerRig.Image);

        await own.Client.PostAsync("/v1/images/collect", null);
        bool kept = own.Server.Rooms.Content.SizeOf(own.Digest) is not null;
        await caller.Functions.RemoveAsync("echo", CancellationToken.None);
        await own.Client.PostAsync("/v1/images/collect", null);

        Assert.True(kept);
        Assert.Null(own.Server.Rooms.Content.SizeOf(own.Digest));
    }

    [Fact]
    public async Task Functions_are_there_after_a_restart()
    {
        using TemporaryFolder folder = new();
        await using (ServerRig first = await ServerRig.StartAsync(folder: folder))
        {
            using BerthClient before = new(first.Address, first.AdminToken, TimeProvider.System);
            await before.Functions.DeployAsync("echo", new FunctionRequest(ServerRig.Image), CancellationToken.None);
            await before.Functions.DeployAsync(
                "echo", new FunctionRequest(ServerRig.Image, MaxRunning: 3, Traffic: 25), CancellationToken.None);
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        using BerthClient after = new(second.Address, second.AdminToken, TimeProvider.System);
        FunctionView view = await after.Functions.GetAsync("echo", CancellationToken.None);

        Assert.Equal([new ShareView(1, 75), new ShareView(2, 25)], view.Traffic.Shares);
        Assert.Equal(0, view.Running);
        await after.Functions.RemoveAsync("echo", CancellationToken.None);
        Assert.Empty(await after.Functions.ListAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Its_own_places_are_kept_to_and_more_is_refused_at_once()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sleep", "600"], MaxRunning: 1, MaxWaiting: 0));
        using CancellationTokenSource leave = new();
        Task<HttpResponseMessage> first = Rig.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, "/v1/functions/echo"), leave.Token);
        await UntilAsync(running: 1);

        using HttpResponseMessage second = await PostAsync("/v1/functions/echo", "");
        await second.ProblemAsync(429, "queue_full");
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await UntilAsync(running: 0);

        Assert.NotNull(second.Headers.RetryAfter);
    }

    [Fact]
    public async Task Who_does_not_wait_gets_an_id_and_one_run_for_one_key_whatever_revision_is_next()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image));
        RunOptions options = new() { IdempotencyKey = "k" };

        RunView first = await Client.Functions.SubmitAsync(
            "echo", options, new MemoryStream("a"u8.ToArray()), CancellationToken.None);
        await DeployAsync(new FunctionRequest(ServerRig.Image, Memory: "64Mi"));
        RunView second = await Client.Functions.SubmitAsync(
            "echo", options, new MemoryStream("a"u8.ToArray()), CancellationToken.None);
        BerthException other = await Assert.ThrowsAsync<BerthException>(() => Client.Functions.SubmitAsync(
            "echo", options, new MemoryStream("b"u8.ToArray()), CancellationToken.None));

        Assert.Equal(("task", first.Id), (first.Kind, second.Id));
        Assert.Equal(ErrorCode.IdempotencyConflict, other.Code);
        Assert.Equal("succeeded", (await Client.Runs.WaitAsync(first.Id, null, CancellationToken.None)).State);
    }

    [Fact]
    public async Task The_addresses_of_OpenFaaS_answer_as_its_callers_expect()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image));

        using HttpResponseMessage call = await PostAsync("/function/echo", "hi");
        using HttpResponseMessage task = await PostAsync("/async-function/echo/", "hi");
        using HttpResponseMessage absent = await PostAsync("/async-function/nothing", "hi");

        Assert.Equal("hi", await call.Content.ReadAsStringAsync());
        Assert.Equal((await RunOfAsync(call)).Id, call.Headers.GetValues("X-Call-Id").Single());
        Assert.Equal(HttpStatusCode.Accepted, task.StatusCode);
        Assert.Equal((await RunOfAsync(task)).Id, task.Headers.GetValues("X-Call-Id").Single());
        await absent.ProblemAsync(404, "not_found");
    }

    [Theory]
    [InlineData("Berth-Memory", "1Gi")]
    [InlineData("Berth-Command", "sh")]
    [InlineData("Berth-Env", "A=1")]
    [InlineData("Berth-User", "0")]
    public async Task What_the_function_decides_no_caller_does(string header, string value)
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image));
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/echo");
        request.Headers.Add(header, value);

        using HttpResponseMessage answer = await Rig.SendAsync(request);

        var problem = await answer.ProblemAsync(400, "invalid_request");
        Assert.Contains("function 'echo' decides it", problem.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Echo", """{"image":"demo/echo:1"}""", 400, "no name for a function")]
    [InlineData("echo", "{}", 400, "image is missing")]
    [InlineData("echo", """{"image":"demo/nothing:1"}""", 404, "There is no image")]
    [InlineData("echo", """{"image":"demo/echo:1","memroy":"1Gi"}""", 400, "memroy")]
    [InlineData("echo", """{"image":"demo/echo:1","memory":"9999Gi"}""", 400, "max-memory")]
    [InlineData("echo", """{"image":"demo/echo:1","timeout":"400d"}""", 400, "timeout")]
    [InlineData("echo", """{"image":"demo/echo:1","traffic":101}""", 400, "101 %")]
    [InlineData("echo", """{"image":"demo/echo:1","traffic":5}""", 400, "there is no other to take")]
    [InlineData("echo", """{"image":"demo/echo:1","tag":"A b"}""", 400, "no name for a tag")]
    [InlineData("echo", """{"image":"demo/echo:1","maxRunning":-1}""", 400, "maxRunning")]
    public async Task A_deployment_that_can_not_be_is_refused_and_leaves_nothing(
        string name, string body, int status, string why)
    {
        using StringContent content = new(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await Rig.Client.PutAsync("/v1/functions/" + name, content);

        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Contains(why, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Empty(await Client.Functions.ListAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Without_a_path_POST_is_a_call_and_GET_the_settings()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "root"]));

        string asked = await CallAsync("echo");
        string read = await Rig.Client.GetStringAsync("/function/echo");
        string settings = await Rig.Client.GetStringAsync("/v1/functions/echo");

        Assert.Equal(("root\n", "root\n"), (asked, read));
        Assert.Contains("\"name\":\"echo\"", settings, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_bring_arguments_only_where_the_function_takes_them_and_then_behind_its_own()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "all"]));
        RunOptions options = new() { Arguments = ["more"] };

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => OutputAsync(options));
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "all"], PassArguments: true));
        string behind = await OutputAsync(options);

        Assert.Contains("takes none", refused.Message, StringComparison.Ordinal);
        Assert.Equal("all more\n", behind);
    }

    [Fact]
    public async Task A_limit_belongs_to_its_revision_and_keeps_who_is_in()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sleep", "600"], MaxRunning: 1, MaxWaiting: 0));
        using CancellationTokenSource leave = new();
        Task<HttpResponseMessage> first = Rig.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, "/v1/functions/echo"), leave.Token);
        await UntilAsync(running: 1);
        FunctionDeployment second = await DeployAsync(
            new FunctionRequest(ServerRig.Image, ["echo", "two"], MaxRunning: 1, MaxWaiting: 5));

        string other = await CallAsync("echo");
        using HttpResponseMessage full = await PostAsync("/v1/functions/echo@1", "");

        Assert.Equal((1, "two\n"), (second.Function.Running, other));
        await full.ProblemAsync(429, "queue_full");
        await leave.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
    }

    [Fact]
    public async Task Requests_for_two_paths_are_two_requests_and_a_repeated_one_tells_its_own_revision()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image));

        using HttpResponseMessage one = await SubmitAsync("/async-function/echo/orders/x");
        await DeployAsync(new FunctionRequest(ServerRig.Image, Memory: "64Mi"));
        using HttpResponseMessage same = await SubmitAsync("/async-function/echo/orders/x");
        using HttpResponseMessage other = await SubmitAsync("/async-function/echo/orders/y");

        Assert.Equal(HttpStatusCode.Accepted, one.StatusCode);
        Assert.Equal(
            ("true", "1"),
            (same.Headers.GetValues("Idempotency-Replayed").Single(),
                same.Headers.GetValues("Berth-Revision").Single()));
        await other.ProblemAsync(409, "idempotency_conflict");
    }

    [Fact]
    public async Task A_call_can_ask_for_less_time_and_not_for_more()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["sleep", "600"], Timeout: "20s"));

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => OutputAsync(new RunOptions { Timeout = TimeSpan.FromSeconds(21) }));
        BerthException late = await Assert.ThrowsAsync<BerthException>(
            () => OutputAsync(new RunOptions { Timeout = TimeSpan.FromMilliseconds(50) }));

        Assert.Contains("gives its calls 20s", refused.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.RunTimedOut, late.Code);
    }

    [Theory]
    [InlineData("""{"shares":[null]}""")]
    [InlineData("{}")]
    [InlineData("""{"shares":[]}""")]
    [InlineData("""{"shares":[{"revision":1,"percent":2147483647},{"revision":2,"percent":2147483647}]}""")]
    [InlineData("""{"shares":[{"revision":1,"percent":100}],"tags":{"A b":1}}""")]
    public async Task Traffic_that_can_not_be_is_refused_and_changes_nothing(string body)
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image));
        using StringContent content = new(body, Encoding.UTF8, "application/json");

        using HttpResponseMessage answer = await Rig.Client.PutAsync("/v1/traffic/echo", content);

        await answer.ProblemAsync(400, "invalid_request");
        FunctionView view = await Client.Functions.GetAsync("echo", CancellationToken.None);
        Assert.Equal([new ShareView(1, 100)], view.Traffic.Shares);
    }

    private async Task<string> OutputAsync(RunOptions options)
    {
        await using Call call = await Client.Functions.CallAsync("echo", options, null, CancellationToken.None);
        using StreamReader reader = new(call.Output);
        string text = await reader.ReadToEndAsync();
        CallOutcome outcome = await call.CompleteAsync(CancellationToken.None);
        return outcome.Problem is { } problem ? throw ErrorOf(problem) : text;
    }

    private static BerthException ErrorOf(Problem problem) =>
        new(Api.Errors.ErrorCatalog.Find(problem.Code).Error, problem.Detail ?? "");

    private Task<HttpResponseMessage> SubmitAsync(string path)
    {
        HttpRequestMessage request = new(HttpMethod.Post, path) { Content = new StringContent("order") };
        request.Headers.Add("Idempotency-Key", "k1");
        return Rig.SendAsync(request);
    }

    private Task<FunctionDeployment> DeployAsync(FunctionRequest request) =>
        Client.Functions.DeployAsync("echo", request, CancellationToken.None);

    private async Task UntilAsync(int running)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while ((await Client.Functions.GetAsync("echo", limit.Token)).Running != running)
        {
            await Task.Delay(5, limit.Token);
        }
    }

    private async Task<string> CallAsync(string name)
    {
        using HttpResponseMessage answer = await PostAsync("/v1/functions/" + name, "");
        return await answer.Content.ReadAsStringAsync();
    }

    private Task<HttpResponseMessage> PostAsync(string path, string body) =>
        Rig.SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body) });

    private Task<RunView> RunOfAsync(HttpResponseMessage answer) => Client.Runs.WaitAsync(
        answer.Headers.GetValues("Berth-Run-Id").Single(), TimeSpan.FromSeconds(10), CancellationToken.None);
}
