using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Testing.Store;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Two servers, PostgreSQL and two nodes on other machines, which are network namespaces here. Whatever is killed or
/// cut off: what was accepted ends, once, and who asks the other server notices nothing.
/// </summary>
[Collection("containers")]
public sealed class ServerFaultTests : IAsyncLifetime
{
    private const string Database = "shared";

    private readonly ServerProcess one = new();
    private readonly ServerProcess two = new();
    private NamespaceMachines machines = null!;
    private PostgresCluster postgres = null!;

    public async ValueTask InitializeAsync()
    {
        machines = await NamespaceMachines.StartAsync();
        postgres = await PostgresCluster.StartAsync(
            "fsync=off", "full_page_writes=off", $"listen_addresses={StoreHost(1)},{StoreHost(2)}");
        await postgres.ExecuteAsync("postgres", $"CREATE DATABASE {Database}");
        await BusyboxServer.StartAsync(one, Flags(one, "one", 1));
        Directory.CreateDirectory(
            two.Data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (string file in (string[])["secrets.key", "admin.token"])
        {
            File.Copy(Path.Combine(one.Data, file), Path.Combine(two.Data, file));
        }

        await two.StartAsync(Flags(two, "two", 2));
        foreach (string name in (string[])["worker-1", "worker-2"])
        {
            MachineProcess machine = await machines.AddAsync(name);
            machine.Join(
                $"https://{machines.Server}:{one.Port + 1}",
                (await one.BerthAsync("node", "token", "create")).Succeed());
            foreach (ServerProcess server in (ServerProcess[])[one, two])
            {
                await LinkedAsync(server, name);
            }
        }

        (await one.BerthAsync("node", "cordon", "one")).Succeed();
        (await one.BerthAsync("node", "cordon", "two")).Succeed();
        await Condition.HoldsAsync("the other one has heard of it", async () =>
        {
            JsonElement node = await two.Http.GetFromJsonAsync<JsonElement>("/v1/nodes/two");
            return node.GetProperty("cordoned").GetBoolean() ? null : node.ToString();
        });
    }

    public async ValueTask DisposeAsync()
    {
        await HealAsync();
        await machines.DisposeAsync();
        await two.DisposeAsync();
        await one.DisposeAsync();
        await postgres.DisposeAsync();
    }

    [Fact]
    public async Task A_killed_server_s_work_is_taken_over_and_callers_of_the_other_notice_nothing()
    {
        string[] tasks = await SubmitAsync(one, 6, "sleep 4; echo $0");
        await RunningAsync(two, tasks[0]);
        using CancellationTokenSource over = new();
        Task<int> calling = CallAsync(two, over.Token);

        await one.KillAsync();
        await EndedOnceAsync(two, tasks);
        await over.CancelAsync();

        Assert.NotEqual(0, await calling);
        Assert.Contains(
            await Task.WhenAll(tasks.Select(t => RunAsync(two, t))), run => run.GetProperty("attempts").GetInt32() > 1);
        await one.StartAsync(Flags(one, "one", 1));
        await LinkedAsync(one, "worker-1");
        Assert.Equal("after all", (await one.BerthAsync([.. "after all"u8], "run", "demo/busybox")).Succeed());
    }

    [Fact]
    public async Task Without_PostgreSQL_calls_go_on_and_with_it_again_everything_accepted_ends_once()
    {
        string[] tasks = [.. await SubmitAsync(one, 4, "sleep 6; echo $0"), .. await SubmitAsync(two, 4, "echo $0")];
        await RunningAsync(two, tasks[0]);

        await postgres.KillAsync();
        await Condition.HoldsAsync(
            "both servers know that it is away",
            async () => await RefusedAsync(one) && await RefusedAsync(two) ? null : one.Log);
        foreach (ServerProcess server in (ServerProcess[])[one, two])
        {
            Assert.Equal("still", (await server.BerthAsync([.. "still"u8], "run", "demo/busybox")).Succeed());
        }

        await postgres.StartAsync();
        await EndedOnceAsync(two, tasks);
        string after = Assert.Single(await SubmitAsync(one, 1, "echo $0"));
        await EndedOnceAsync(two, [after]);
    }

    [Fact]
    public async Task A_server_that_is_cut_off_from_the_store_is_fenced_when_it_comes_back()
    {
        string[] tasks = await SubmitAsync(one, 1, "sleep 25; echo $0");
        await RunningAsync(two, tasks[0]);
        int before = (await RunAsync(two, tasks[0])).GetProperty("attempts").GetInt32();

        await CutAsync(1);
        await Condition.HoldsAsync("the other one has it", async () =>
        {
            JsonElement run = await RunAsync(two, tasks[0]);
            return run.GetProperty("attempts").GetInt32() > before ? null : run.ToString();
        });
        await HealAsync();

        await Condition.HoldsAsync(
            "the first one hears that it is not its own any more",
            () => one.Log.Contains("is another server's by now", StringComparison.Ordinal));
        await EndedOnceAsync(one, tasks);
    }

    /// <summary>Of this process alone; both are the loopback of the machine.</summary>
    private static string StoreHost(int server) => string.Create(
        CultureInfo.InvariantCulture,
        $"127.{100 + (Environment.ProcessId % 100)}.{Environment.ProcessId / 100 % 250}.{server}");

    private string[] Flags(ServerProcess server, string name, int number)
    {
        server.Environment["BERTH_STORE"] =
            $"postgres://{PostgresCluster.User}:{postgres.Password}@{StoreHost(number)}/{Database}";
        return ["--node-listen", $"{machines.Server}:{server.Port + 1}", "--node-name", name, "--pool-memory", "0"];
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

    private static Task LinkedAsync(ServerProcess server, string node) => Condition.HoldsAsync(
        $"{node} is linked to {server.Host}",
        async () => await StateAsync(server, node) is "ready" ? null : server.Log);

    private static async Task<string?> StateAsync(ServerProcess server, string node)
    {
        using HttpResponseMessage answer = await server.Http.GetAsync($"/v1/nodes/{node}");
        return answer.IsSuccessStatusCode
            ? (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("state").GetString()
            : null;
    }

    private static async Task<JsonElement> RunAsync(ServerProcess server, string id) =>
        await server.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{id}");

    /// <summary>Nothing passes between a server and the store.</summary>
    private static async Task CutAsync(int server)
    {
        foreach (string way in Ways)
        {
            (await FirewallAsync("-I", way, StoreHost(server))).Succeed();
        }
    }

    private static async Task HealAsync()
    {
        foreach (string way in Ways)
        {
            foreach (int server in (int[])[1, 2])
            {
                await FirewallAsync("-D", way, StoreHost(server));
            }
        }
    }

    private static readonly string[] Ways = ["--destination", "--source"];

    private static Task<ToolResult> FirewallAsync(string verb, string way, string host) =>
        Tool.RunAsync("iptables", ["-w", verb, "OUTPUT", way, host, "-j", "DROP"], []);
}
