using System.Net;
using System.Net.Http.Json;
using Berth.Api.Runs;
using Berth.Testing.Server;

namespace Berth.Tests.Server;

/// <summary>Waits on what a server tells of its runs.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>The id of the one run with a label, once it is as expected.</summary>
    public static async Task<string> FindRunAsync(ServerRig rig, string label, Func<RunView, bool> expected)
    {
        using CancellationTokenSource limit = new(Patience);
        RunPage? page = null;
        while (!limit.IsCancellationRequested)
        {
            page = await rig.Client.GetFromJsonAsync(
                "/v1/runs?label=" + Uri.EscapeDataString(label), RunJson.Default.RunPage);
            // Not the programs that calls are sent to.
            if (page!.Runs.Where(r => r.Kind != "instance").ToArray() is [{ } run] && expected(run))
            {
                return run.Id;
            }

            await Task.Yield();
        }

        string seen = string.Join(", ", page!.Runs.Select(r => $"{r.Id} {r.State}"));
        throw new InvalidOperationException($"No run with the label {label} became as expected; seen: {seen}");
    }

    public static async Task<RunView> EndAsync(ServerRig rig, string id)
    {
        RunView run = (await rig.Client.GetFromJsonAsync($"/v1/runs/{id}?wait=30s", RunJson.Default.RunView))!;
        return run.EndedAt is null ? throw new InvalidOperationException($"Run {id} is still {run.State}.") : run;
    }

    /// <summary>The answer of an address once it has a status.</summary>
    public static async Task<HttpResponseMessage> AnswerAsync(ServerRig rig, string path, HttpStatusCode status)
    {
        using CancellationTokenSource limit = new(Patience);
        HttpStatusCode seen = default;
        while (!limit.IsCancellationRequested)
        {
            HttpResponseMessage response = await rig.GetAsync(path);
            seen = response.StatusCode;
            if (seen == status)
            {
                return response;
            }

            response.Dispose();
        }

        throw new InvalidOperationException($"{path} never answered {(int)status}; last seen: {(int)seen}.");
    }

    /// <summary>The run once it is as expected.</summary>
    public static async Task<RunView> RunAsync(ServerRig rig, string id, Func<RunView, bool> expected)
    {
        using CancellationTokenSource limit = new(Patience);
        RunView run = await rig.RunAsync(id);
        while (!expected(run))
        {
            if (limit.IsCancellationRequested)
            {
                throw new InvalidOperationException($"Run {id} never became as expected; it is {run}.");
            }

            await Task.Yield();
            run = await rig.RunAsync(id);
        }

        return run;
    }

    /// <summary>Returns once something holds.</summary>
    public static async Task HoldsAsync(string what, Func<bool> holds)
    {
        using CancellationTokenSource limit = new(Patience);
        while (!holds())
        {
            if (limit.IsCancellationRequested)
            {
                throw new InvalidOperationException($"It never came about that {what}.");
            }

            await Task.Yield();
        }
    }
}
