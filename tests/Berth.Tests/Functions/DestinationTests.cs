using System.Text.Json;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>What the ends of calls that nobody waits for are handed on to.</summary>
public sealed class DestinationTests() : ServedTest(o => o with { CallbackAllow = ["127.0.0.1"] })
{
    [Fact]
    public async Task A_function_gets_the_result_of_a_success_as_a_task_of_its_own()
    {
        await DeployAsync("second", new FunctionRequest(Command: ["cat"]));
        await DeployAsync("first", new FunctionRequest(Command: ["cat"], OnSuccess: "second", OnFailure: "nobody"));

        string first = await SubmitAsync("first", "hello");
        string second = await Eventually.FindRunAsync(Rig, "function=second", r => r.State == "succeeded");

        Assert.Equal("hello", await ResultAsync(second));
        RunEventView told = await EventAsync(first, "forwarded");
        Assert.Contains($"function 'second', as run {second}", told.Detail, StringComparison.Ordinal);
        RevisionView revision = Assert.Single(await Client.Functions.RevisionsAsync("first", CancellationToken.None));
        Assert.Equal(("second", "nobody"), (revision.Spec.OnSuccess, revision.Spec.OnFailure));
        Assert.False(
            (await Client.Functions.DeployAsync("first", revision.Spec, CancellationToken.None)).Changed);
    }

    [Fact]
    public async Task A_function_that_answers_over_http_gets_the_record_of_a_failure()
    {
        await using PlayedService service = new((_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "seen")));
        await DeployAsync(
            "handler", new FunctionRequest(Command: ["sleep", "3600"], Contract: "http", Port: service.Port));
        await DeployAsync("first", new FunctionRequest(Command: ["false"], OnFailure: "handler"));

        string failed = await SubmitAsync("first", "hello");
        await Eventually.FindRunAsync(Rig, "function=handler", r => r.State == "succeeded");

        PlayedRequest got = Assert.Single(service.Requests);
        Assert.Equal(
            (failed, "first", "application/json"),
            (got.Headers["Berth-Source-Run"], got.Headers["Berth-Source-Function"], got.Headers["Content-Type"]));
        RunView record = JsonSerializer.Deserialize(got.Body, RunJson.Default.RunView)!;
        Assert.Equal((failed, "exit_code", 1), (record.Id, record.Reason, record.ExitCode));
    }

    [Fact]
    public async Task An_address_is_told_beside_the_callers_own_callback()
    {
        await using PlayedService receiver = new(
            (_, _) => Task.FromResult<string?>(PlayedService.Answer(204, "", "Connection: close\r\n")));
        string address = $"http://127.0.0.1:{receiver.Port}/";
        await DeployAsync("first", new FunctionRequest(Command: ["cat"], OnSuccess: address + "destination"));

        string id = await SubmitAsync("first", "hello", ("Berth-Callback", address + "callback"));
        await Eventually.HoldsAsync("both are told", () => receiver.Requests.Count == 2);

        Assert.Equal(
            [("POST /callback HTTP/1.1", id), ("POST /destination HTTP/1.1", id + "-destination")],
            receiver.Requests.Select(r => (r.Line, r.Headers["Idempotency-Key"])).Order());
        Assert.All(receiver.Requests, r => Assert.Contains("Berth-Signature", r.Headers.Keys));
        Assert.All(
            receiver.Requests,
            r => Assert.Equal(id, JsonSerializer.Deserialize(r.Body, RunJson.Default.RunView)!.Id));
    }

    [Fact]
    public async Task Functions_that_hand_on_to_each_other_come_to_an_end()
    {
        await DeployAsync("ping", new FunctionRequest(Command: ["cat"], OnSuccess: "pong"));
        await DeployAsync("pong", new FunctionRequest(Command: ["cat"], OnSuccess: "ping"));

        await SubmitAsync("ping", "ball");
        RunEventView told = await EventAsync(await LastAsync(), "forward_failed");

        Assert.Contains($"{Destination.MaxHops} destinations led to it", told.Detail, StringComparison.Ordinal);
        RunPage page = await Rig.RunsAsync("kind=task&limit=100");
        Assert.Equal(Destination.MaxHops + 1, page.Runs.Count);
        Assert.All(page.Runs, r => Assert.Equal("succeeded", r.State));
    }

    /// <summary>The newest task, once there are as many as there may be.</summary>
    private async Task<string> LastAsync()
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (true)
        {
            RunPage page = await Rig.RunsAsync("kind=task&limit=100");
            if (page.Runs.Count > Destination.MaxHops)
            {
                return page.Runs[0].Id;
            }

            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    [Fact]
    public async Task What_can_not_be_handed_on_says_so_and_what_could_never_be_is_refused()
    {
        await DeployAsync("first", new FunctionRequest(Command: ["cat"], OnSuccess: "nobody"));

        RunEventView told = await EventAsync(await SubmitAsync("first", "hello"), "forward_failed");

        Assert.Contains("There is no function 'nobody'", told.Detail, StringComparison.Ordinal);
        BerthException guarded = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync("first", new FunctionRequest(Command: ["cat"], OnSuccess: "http://169.254.169.254/")));
        BerthException wrong = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync("first", new FunctionRequest(Command: ["cat"], OnFailure: "No Name")));
        Assert.Equal(
            (ErrorCode.CallbackForbidden, ErrorCode.InvalidRequest), (guarded.Code, wrong.Code));
        Assert.Contains("onFailure = 'No Name'", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_synchronous_call_is_handed_on_to_nobody()
    {
        await DeployAsync("second", new FunctionRequest(Command: ["cat"]));
        await DeployAsync("first", new FunctionRequest(Command: ["cat"], OnSuccess: "second"));

        using StringContent body = new("hello");
        using HttpResponseMessage answer = await Rig.Client.PostAsync("/v1/functions/first", body);
        string later = await SubmitAsync("first", "later");
        await Eventually.FindRunAsync(Rig, "function=second", r => r.State == "succeeded");

        Assert.Equal("hello", await answer.Content.ReadAsStringAsync());
        await EventAsync(later, "forwarded");
        Assert.Single((await Rig.RunsAsync("label=function=second")).Runs);
    }

    private Task<FunctionDeployment> DeployAsync(string name, FunctionRequest request) =>
        Client.Functions.DeployAsync(
            name, request with { Image = ServerRig.Image }, CancellationToken.None);

    private async Task<string> SubmitAsync(string name, string input, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, $"/async-function/{name}")
        {
            Content = new StringContent(input),
        };
        foreach ((string header, string value) in headers)
        {
            request.Headers.Add(header, value);
        }

        using HttpResponseMessage accepted = await Rig.SendAsync(request);
        return (await accepted.RunAsync()).Id;
    }

    private async Task<string> ResultAsync(string id)
    {
        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{id}/result");
        return await result.Content.ReadAsStringAsync();
    }

    /// <summary>Of a run, once it has one of this type.</summary>
    private async Task<RunEventView> EventAsync(string id, string type)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (true)
        {
            if ((await Rig.WhyAsync(id)).Events.FirstOrDefault(e => e.Type == type) is { } found)
            {
                return found;
            }

            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
