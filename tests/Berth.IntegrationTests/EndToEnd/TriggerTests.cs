using System.Text.Json;
using Berth.Api.Runs;
using Berth.Api.Triggers;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Triggers by the command line on real runc: each time, delivery and file becomes one run, through killed
/// servers.</summary>
[Collection("server")]
public sealed class TriggerTests
{
    [Fact]
    public async Task Each_second_becomes_one_run_also_where_the_server_is_killed_meanwhile()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(server, "function", "deploy", "tick", "demo/busybox", "sh", "-c", "cat; echo $BERTH_TRIGGER");
        await BerthAsync(
            server, "trigger", "create", "--cron", "* * * * * *", "--missed", "once", "--body", "tock ", "seconds",
            "tick");
        int before = 0;
        for (int kill = 0; kill < 3; kill++)
        {
            before = await FiredAsync(server, "seconds", before + 2);
            await server.KillAsync();
            await server.StartAsync();
        }

        await FiredAsync(server, "seconds", before + 2);
        await BerthAsync(server, "trigger", "pause", "seconds");
        TriggerView view = await GetAsync(server, "seconds");
        await Condition.HoldsAsync(
            "every run of the trigger has ended well",
            async () => (await RunsAsync(server)).FirstOrDefault(r => r.State != "succeeded")?.ToString());
        IReadOnlyList<RunView> runs = await RunsAsync(server);

        Assert.True(view.Paused);
        string[] fired = [.. view.Firings!.Where(f => f.Run is not null).Select(f => f.Run!)];
        Assert.Equal(fired.Distinct(), fired);
        Assert.Subset(runs.Select(r => r.Id).ToHashSet(), fired.ToHashSet());
        Assert.Equal(
            view.Firings!.Select(f => f.Key).OrderDescending(StringComparer.Ordinal), view.Firings!.Select(f => f.Key));
        Assert.Equal("tock seconds", await BerthAsync(server, "task", "result", fired[0]));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_signed_request_of_a_stranger_is_one_run_and_another_one_is_refused()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        (await server.BerthAsync("It's a Secret to Everybody"u8.ToArray(), "secret", "create", "hook")).Succeed();
        await BerthAsync(
            server, "function", "deploy", "build", "demo/busybox", "sh", "-c", "cat; echo \" $HTTP_X_GITHUB_EVENT\"");
        await BerthAsync(server, "trigger", "create", "--webhook", "github", "--secret", "hook", "push", "build");
        const string Request =
            "curl -sS -w ' %{http_code}' --data-binary 'Hello, World!' -H 'X-GitHub-Event: push' "
            + "-H 'X-GitHub-Delivery: 1' "
            + "-H 'X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' ";

        string first = (await server.ShellAsync(Request + "$BERTH_HOST/v1/hooks/push")).Succeed();
        await server.KillAsync();
        await server.StartAsync();
        string second = (await server.ShellAsync(Request + "$BERTH_HOST/v1/hooks/push")).Succeed();
        string stranger = (await server.ShellAsync(
            Request.Replace("7571", "7572", StringComparison.Ordinal) + "$BERTH_HOST/v1/hooks/push")).Succeed();
        string run = JsonSerializer.Deserialize(first[..^4], TriggerJson.Default.FiringView)!.Run!;

        Assert.EndsWith(" 202", first, StringComparison.Ordinal);
        Assert.Equal(run, JsonSerializer.Deserialize(second[..^4], TriggerJson.Default.FiringView)!.Run);
        Assert.EndsWith(" 401", stranger, StringComparison.Ordinal);
        await BerthAsync(server, "task", "wait", run);
        Assert.Equal("Hello, World! push", await BerthAsync(server, "task", "result", run));
        Assert.Single(await RunsAsync(server));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_file_that_a_container_puts_into_a_volume_is_one_run_until_it_changes()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await BerthAsync(server, "volume", "create", "in");
        await BerthAsync(server, "function", "deploy", "take", "demo/busybox", "cat");
        await BerthAsync(server, "trigger", "create", "--volume", "in", "--prefix", "done/", "files", "take");
        await PutAsync(
            "mkdir -p /in/done/a; echo 12345 > /in/done/a/one; echo x > /in/else; "
            + "ln -s /etc/passwd /in/done/link");
        await FiredAsync(server, "files", 1);
        await server.KillAsync();
        await server.StartAsync();
        await PutAsync("echo 1 > /in/done/two");
        await FiredAsync(server, "files", 2);
        await PutAsync("echo 123 > /in/done/two");
        await FiredAsync(server, "files", 3);
        TriggerView view = await GetAsync(server, "files");

        Assert.Equal(["done/two", "done/two", "done/a/one"], view.Firings!.Select(f => f.Detail));
        await BerthAsync(server, "task", "wait", view.Firings![2].Run!);
        using JsonDocument data = JsonDocument.Parse(await BerthAsync(server, "task", "result", view.Firings![2].Run!));
        Assert.Equal(
            ("in", "done/a/one", 6),
            (data.RootElement.GetProperty("volume").GetString(), data.RootElement.GetProperty("path").GetString(),
                data.RootElement.GetProperty("size").GetInt32()));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);

        async Task PutAsync(string script) =>
            (await server.BerthAsync("run", "--rm", "-v", "in:/in", "demo/busybox", "sh", "-c", script)).Succeed();
    }

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static async Task<TriggerView> GetAsync(ServerProcess server, string name) => JsonSerializer.Deserialize(
        await BerthAsync(server, "trigger", "get", name), TriggerJson.Default.TriggerView)!;

    /// <summary>How often it has fired, once that is as often as wanted.</summary>
    private static async Task<int> FiredAsync(ServerProcess server, string name, int count)
    {
        int fired = 0;
        await Condition.HoldsAsync($"trigger {name} has fired {count} times", async () =>
        {
            fired = (await GetAsync(server, name)).Firings!.Count(f => f.Run is not null);
            return fired >= Math.Min(count, 18) ? null : $"{fired} times";
        });
        return fired;
    }

    private static async Task<IReadOnlyList<RunView>> RunsAsync(ServerProcess server) => JsonSerializer.Deserialize(
        (await server.ShellAsync(
            "curl -sS -H \"Authorization: Bearer $BERTH_TOKEN\" \"$BERTH_HOST/v1/runs?limit=1000&kind=task\""))
            .Succeed(),
        RunJson.Default.RunPage)!.Runs;
}
