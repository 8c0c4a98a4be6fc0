using System.Net.Http.Json;
using Berth.Api.Errors;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Short ways to ask the server and to read what it answers.</summary>
internal static class Answers
{
    /// <summary>Submits a task that must be accepted.</summary>
    public static async Task<RunView> SubmitAsync(
        this ServerRig rig, string[]? command = null, HttpContent? body = null,
        params (string Name, string Value)[] headers)
    {
        using HttpResponseMessage response = await rig.SendAsync(ServerRig.Call(command, body, "tasks", headers));
        Assert.Equal(202, (int)response.StatusCode);
        return await response.RunAsync();
    }

    /// <summary>Submits a task and waits for its end.</summary>
    public static async Task<RunView> FinishAsync(
        this ServerRig rig, string[]? command = null, HttpContent? body = null,
        params (string Name, string Value)[] headers) =>
        await Eventually.EndAsync(rig, (await rig.SubmitAsync(command, body, headers)).Id);

    public static async Task<HttpResponseMessage> GetAsync(
        this ServerRig rig, string path, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, path);
        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await rig.SendAsync(request);
    }

    public static async Task<RunView> RunAsync(this HttpResponseMessage response) =>
        (await response.Content.ReadFromJsonAsync(RunJson.Default.RunView))!;

    public static async Task<RunView> RunAsync(this ServerRig rig, string id) =>
        (await rig.Client.GetFromJsonAsync($"/v1/runs/{id}", RunJson.Default.RunView))!;

    public static async Task<RunPage> RunsAsync(this ServerRig rig, string query) =>
        (await rig.Client.GetFromJsonAsync("/v1/runs?" + query, RunJson.Default.RunPage))!;

    public static async Task<RunWhy> WhyAsync(this ServerRig rig, string id) =>
        (await rig.Client.GetFromJsonAsync($"/v1/runs/{id}/why", RunJson.Default.RunWhy))!;

    /// <summary>
    /// The problem of a refusal, which must be a problem document with a known code, its status and a sentence.
    /// </summary>
    public static async Task<Problem> ProblemAsync(this HttpResponseMessage response, int status, string code)
    {
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Problem problem = (await response.Content.ReadFromJsonAsync(RunJson.Default.Problem))!;
        Assert.Equal((status, code), ((int)response.StatusCode, problem.Code));
        Assert.Equal(status, problem.Status);
        Assert.Equal("urn:berth:error:" + code, problem.Type);
        Assert.Equal(ErrorCatalog.Find(code).Title, problem.Title);
        Assert.False(string.IsNullOrWhiteSpace(problem.Detail), "The problem says nothing.");
        return problem;
    }
}
