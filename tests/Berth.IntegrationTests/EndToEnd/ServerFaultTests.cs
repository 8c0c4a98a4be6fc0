using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Two servers, PostgreSQL and two nodes on other machines, which are network namespaces here. Whatever is killed or
/// cut off: what was accepted ends, once, and who asks the other server notices nothing.
/// </summary>
[Collection("containers")]
public sealed class ServerFaultTests : IAsyncLifetime
{
    private TwoServers servers = null!;

    private ServerProcess One => servers.One;

    private ServerProcess Two => servers.Two;

    public async ValueTask InitializeAsync() => servers = await TwoServers.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await HealAsync();
        await servers.DisposeAsync();
    }

    [Fact]
    public async Task A_killed_server_s_work_is_taken_over_and_callers_of_the_other_notice_nothing()
    {
        string[] tasks = await SubmitAsync(One, 6, "sleep 4; echo $0");
        await RunningAsync(Two, tasks[^1]);
        using CancellationTokenSource over = new();
        Task<int> calling = CallAsync(Two, over.Token);

        await One.KillAsync();
        await EndedOnceAsync(Two, tasks);
        await over.CancelAsync();

        Assert.NotEqual(0, await calling);
        Assert.Contains(
            await Task.WhenAll(tasks.Select(t => RunAsync(Two, t))), run => run.GetProperty("attempts").GetInt32() > 1);
        await servers.StartAsync(One);
        await TwoServers.LinkedAsync(One, "worker-1");
        Assert.Equal("after all", (await One.BerthAsync([.. "after all"u8], "run", "demo/busybox")).Succeed());
    }

    [Fact]
    public async Task Without_PostgreSQL_calls_go_on_and_with_it_again_everything_accepted_ends_once()
    {
        string[] tasks = [.. await SubmitAsync(Two, 4, "echo $0"), .. await SubmitAsync(One, 4, "sleep 6; echo $0")];
        await RunningAsync(Two, tasks[^1]);

        await servers.Postgres.KillAsync();
        await Condition.HoldsAsync(
            "both servers know that it is away",
            async () => await RefusedAsync(One) && await RefusedAsync(Two) ? null : One.Log);
        foreach (ServerProcess server in servers.Servers)
        {
            Assert.Equal("still", (await server.BerthAsync([.. "still"u8], "run", "demo/busybox")).Succeed());
        }

        await servers.Postgres.StartAsync();
        await EndedOnceAsync(Two, tasks);
        string after = Assert.Single(await SubmitAsync(One, 1, "echo $0"));
        await EndedOnceAsync(Two, [after]);
    }

    [Fact]
    public async Task A_server_that_is_cut_off_from_the_store_is_fenced_when_it_comes_back()
    {
        string[] tasks = await SubmitAsync(One, 1, "sleep 25; echo $0");
        await RunningAsync(Two, tasks[0]);
        int before = (await RunAsync(Two, tasks[0])).GetProperty("attempts").GetInt32();

        await CutAsync(One);
        await Condition.HoldsAsync("the other one has it", async () =>
        {
            JsonElement run = await RunAsync(Two, tasks[0]);
            return run.GetProperty("attempts").GetInt32() > before ? null : run.ToString();
        });
        await HealAsync();

        await Condition.HoldsAsync(
            "the first one hears that it is not its own any more",
            () => One.Log.Contains("is another server's by now", StringComparison.Ordinal));
        await EndedOnceAsync(One, tasks);
    }

    private static async Task<string[]> SubmitAsync(ServerProcess server, int count, string script)
    {
        List<string> tasks = [];
        for (int i = 0; i < count; i++)
        {
            tasks.Add((await server.BerthAsync(
                "task", "submit", "demo/busybox", "sh", "-c", script,
                string.Create(CultureInfo.InvariantCulture, $"task-{i}"))).Succeed());
        }

        return [.. tasks];
    }

    private static async Task RunningAsync(ServerProcess server, string task) => await Condition.HoldsAsync(
        "a task runs", async () =>
        {
            JsonElement run = await RunAsync(server, task);
            return run.GetProperty("state").GetString() == "running" ? null : run.ToString();
        });

    /// <summary>Each succeeds, its end is told once, and both have its result.</summary>
    private static async Task EndedOnceAsync(ServerProcess server, IReadOnlyList<string> tasks)
    {
        foreach (string task in tasks)
        {
            await Condition.HoldsAsync("a task has ended", async () =>
            {
                JsonElement run = await RunAsync(server, task);
                return run.GetProperty("state").GetString() == "succeeded" ? null : run.ToString();
            });
            Assert.StartsWith(
                "task-", (await server.BerthAsync("task", "result", task)).Succeed(), StringComparison.Ordinal);
            JsonElement why = await server.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{task}/why");
            Assert.Single(
                why.GetProperty("events").EnumerateArray(), e => e.GetProperty("type").GetString() == "ended");
        }
    }

    /// <summary>Calls again and again; gives how many, none of which failed.</summary>
    private static async Task<int> CallAsync(ServerProcess server, CancellationToken over)
    {
        int calls = 0;
        while (!over.IsCancellationRequested)
        {
            using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/busybox");
            request.Headers.Add("Berth-Command", ["echo", "here"]);
            using HttpResponseMessage answer = await server.Http.SendAsync(request, CancellationToken.None);
            Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(CancellationToken.None));
            calls++;
        }

        return calls;
    }

    private static async Task<bool> RefusedAsync(ServerProcess server)
    {
        using HttpResponseMessage answer = await server.Http.PostAsync("/v1/tasks/demo/busybox", null);
        if (answer.StatusCode != HttpStatusCode.ServiceUnavailable)
        {
            return false;
        }

        Assert.NotNull(answer.Headers.RetryAfter);
        return true;
    }

    private static async Task<JsonElement> RunAsync(ServerProcess server, string id) =>
        await server.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{id}");

    /// <summary>Nothing passes between a server and the store.</summary>
    private async Task CutAsync(ServerProcess server)
    {
        foreach (string way in Ways)
        {
            (await FirewallAsync("-I", way, servers.StoreHostOf(server))).Succeed();
        }
    }

    private async Task HealAsync()
    {
        foreach (string way in Ways)
        {
            foreach (ServerProcess server in servers.Servers)
            {
                await FirewallAsync("-D", way, servers.StoreHostOf(server));
            }
        }
    }

    private static readonly string[] Ways = ["--destination", "--source"];

    private static Task<ToolResult> FirewallAsync(string verb, string way, string host) =>
        Tool.RunAsync("iptables", ["-w", verb, "OUTPUT", way, host, "-j", "DROP"], []);
}
