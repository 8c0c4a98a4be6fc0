using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Containers on other machines, which are network namespaces here: what becomes of them and their streams
/// when something happens to the machine, the cable or the server.</summary>
[Collection("containers")]
public sealed class ClusterContainerTests : ClusterTest
{
    private const string Ticking = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.2; done";

    protected override string[] Flags => [.. base.Flags, "--container-move-after", "1s"];

    [Fact]
    public async Task Every_command_works_there_as_here()
    {
        MachineProcess worker = await JoinAsync("worker-1");

        (await BerthAsync(
            "run", "-d", "--name", "web", "--node", "worker-1", "--hostname", "there", "--tmpfs", "/scratch",
            "demo/busybox", "sh", "-c", "echo started; busybox hostname; exec sleep 600")).Succeed();
        Assert.Matches("web", (await BerthAsync("ps")).Succeed());
        Assert.Contains("worker-1", (await BerthAsync("ps")).Succeed(), StringComparison.Ordinal);
        await Condition.HoldsAsync("its log is here", async () =>
            (await BerthAsync("logs", "web")).Succeed() is var log && log == "started\nthere" ? null : log);
        Assert.Equal("there", (await BerthAsync("exec", "web", "busybox", "hostname")).Succeed());
        Assert.Equal(
            "typed",
            (await Server.ShellAsync("printf typed | \"$BERTH\" exec -i web cat")).Succeed());
        Assert.Equal(3, (await BerthAsync("exec", "web", "sh", "-c", "exit 3")).ExitCode);
        Assert.Matches(@"(?m)^ *\d+ +0 .*sleep 600$", (await BerthAsync("top", "web")).Succeed());
        await File.WriteAllTextAsync(Server.Folder + "/copied", "a file", Soon);
        (await BerthAsync("cp", Server.Folder + "/copied", "web:/tmp-file")).Succeed();
        Assert.Equal("a file", (await BerthAsync("exec", "web", "cat", "/tmp-file")).Succeed());
        await Condition.HoldsAsync("its figures are here", async () =>
            await BerthAsync("stats", "--no-stream", "web") is { ExitCode: 0 } ? null : "no figures");

        (await BerthAsync("stop", "-t", "0", "web")).Succeed();
        // Of one that does not run, by a program that is made for it.
        (await BerthAsync("cp", "web:/tmp-file", Server.Folder + "/back")).Succeed();
        (await BerthAsync("start", "web")).Succeed();
        Assert.Equal("a file", (await BerthAsync("exec", "web", "cat", "/tmp-file")).Succeed());
        (await BerthAsync("kill", "web")).Succeed();
        string waited = (await BerthAsync("wait", "web")).Succeed();
        (await BerthAsync("rm", "web")).Succeed();

        Assert.Equal("a file", await File.ReadAllTextAsync(Server.Folder + "/back", Soon));
        Assert.Equal("137", waited);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(worker.Data, "containers")));
        await UntilAsync(worker, n => n.Running == 0);

        await worker.StopAsync();
        await Condition.HoldsAsync("its server saw that it was stopped", () => Server.Log.Contains(
            "Node worker-1 has left", StringComparison.Ordinal));
        Assert.DoesNotContain("A link of node worker-1 broke", Server.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("could not be linked", worker.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_goes_on_without_its_server_and_without_its_link_and_nothing_is_lost_of_its_log()
    {
        MachineProcess worker = await JoinAsync("worker-1");
        (await BerthAsync(
            "run", "-d", "--name", "clock", "--node", "worker-1", "demo/busybox", "sh", "-c", Ticking)).Succeed();
        await SeesAsync("clock", "tick 3");
        string run = await FieldAsync("clock", "run");

        await worker.CutAsync();
        await Condition.HoldsAsync("nothing is known of it", async () =>
            await FieldAsync("clock", "state") is var state && state == "unknown" ? null : state);
        ToolResult refused = await BerthAsync("stop", "clock");
        await worker.MendAsync();
        await Condition.HoldsAsync("it is known again", async () =>
            await FieldAsync("clock", "state") is var state && state == "running" ? null : state);
        await Server.StopAsync();
        await Server.StartAsync(Flags);
        await Condition.HoldsAsync("it is known to the next server", async () =>
            await FieldAsync("clock", "state") is var state && state == "running" ? null : state);
        int last = Last(await LogAsync("clock"));
        await SeesAsync("clock", $"tick {last + 5}");
        (await BerthAsync("stop", "-t", "0", "clock")).Succeed();

        Assert.Contains("can't be reached since", refused.Error, StringComparison.Ordinal);
        Assert.Equal(run, await FieldAsync("clock", "run"));
        string[] lines = (await LogAsync("clock")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(Enumerable.Range(1, lines.Length).Select(i => $"tick {i}"), lines);
    }

    [Fact]
    public async Task Of_a_killed_machine_it_is_started_elsewhere_and_of_a_cut_off_one_the_old_one_ends()
    {
        MachineProcess one = await JoinAsync("worker-1");
        MachineProcess two = await JoinAsync("worker-2");
        (await BerthAsync("node", "cordon", "control")).Succeed();
        (await BerthAsync("node", "cordon", "worker-2")).Succeed();
        (await BerthAsync(
            "run", "-d", "--name", "web", "--restart", "always", "demo/busybox", "sleep", "600")).Succeed();
        (await BerthAsync("run", "-d", "--name", "once", "demo/busybox", "sleep", "600")).Succeed();
        (await BerthAsync("node", "uncordon", "worker-2")).Succeed();
        Assert.Equal("worker-1", await FieldAsync("web", "node"));

        await one.CutAsync();
        await UntilOnAsync("web", "worker-2");
        Assert.Equal("unknown", await FieldAsync("once", "state"));
        await one.MendAsync();
        await UntilAsync(one, n => n is { State: "ready", Running: 1 });
        await Condition.HoldsAsync("the other one goes on", async () =>
            await FieldAsync("once", "state") is var state && state == "running" ? null : state);

        await two.KillAsync();
        await UntilOnAsync("web", "worker-1");
        two.Join(NodeAddress);
        await UntilAsync(two, n => n is { State: "ready", Running: 0 });
        Assert.Equal(0, (await BerthAsync("exec", "web", "true")).ExitCode);
    }

    [Fact]
    public async Task What_was_copied_into_it_before_its_first_start_keeps_it_where_that_is()
    {
        await JoinAsync("worker-1");
        await JoinAsync("worker-2");
        await File.WriteAllTextAsync(Server.Folder + "/copied", "a file\n", Soon);
        (await BerthAsync("node", "cordon", "worker-2")).Succeed();
        (await BerthAsync(
            "create", "--name", "web", "--constraint", "node in (worker-1,worker-2)", "demo/busybox", "cat",
            "/tmp-file")).Succeed();
        (await BerthAsync("cp", Server.Folder + "/copied", "web:/tmp-file")).Succeed();
        (await BerthAsync("node", "uncordon", "worker-2")).Succeed();
        (await BerthAsync("node", "cordon", "worker-1")).Succeed();

        ToolResult refused = await BerthAsync("start", "web");
        (await BerthAsync("node", "uncordon", "worker-1")).Succeed();
        (await BerthAsync("start", "web")).Succeed();
        (await BerthAsync("wait", "web")).Succeed();

        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("worker-1", refused.Error, StringComparison.Ordinal);
        Assert.Equal("worker-1", await FieldAsync("web", "node"));
        await SeesAsync("web", "a file");
    }

    private static int Last(string log) => int.Parse(
        log.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1]["tick ".Length..],
        System.Globalization.CultureInfo.InvariantCulture);

    private Task UntilOnAsync(string container, string node) => Condition.HoldsAsync(
        $"{container} runs on {node}",
        async () => (await FieldAsync(container, "state"), await FieldAsync(container, "node")) is var seen
            && seen == ("running", node)
                ? null : seen.ToString());

    private Task SeesAsync(string container, string line) => Condition.HoldsAsync(
        $"{container} says {line}",
        async () => (await LogAsync(container)).Contains(line + "\n", StringComparison.Ordinal) ? null : "not yet");

    private Task<string> LogAsync(string container) =>
        Server.Http.GetStringAsync($"/v1/containers/{container}/logs", Soon);

    private async Task<string> FieldAsync(string container, string field)
    {
        using JsonDocument view = JsonDocument.Parse(
            await Server.Http.GetStringAsync($"/v1/containers/{container}", Soon));
        return view.RootElement.TryGetProperty(field, out JsonElement value) ? value.ToString() : "";
    }

    private Task<ToolResult> BerthAsync(params string[] words) => Server.BerthAsync([], words);
}
