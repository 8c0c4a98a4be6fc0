using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Volumes and folders in the files of what runs on other machines, which are network namespaces here.
/// </summary>
[Collection("containers")]
public sealed class ClusterVolumeTests : ClusterTest
{
    [Fact]
    public async Task A_volume_outlasts_its_users_and_its_nodes_death_and_goes_without_a_trace()
    {
        MachineProcess one = await JoinAsync("worker-1");
        MachineProcess two = await JoinAsync("worker-2");
        (await BerthAsync("volume", "create", "pages")).Succeed();
        (await BerthAsync("node", "cordon", "control")).Succeed();
        (await BerthAsync("node", "cordon", "worker-1")).Succeed();
        string written = await SubmitAsync("pages:/srv", "echo kept > /srv/file; id -u");
        (await BerthAsync("task", "wait", written)).Succeed();
        (await BerthAsync("node", "uncordon", "worker-1")).Succeed();
        Assert.Equal("worker-2", await NodeOfAsync(written));
        Assert.Matches(@"pages +worker-2 ", (await BerthAsync("volume", "ls")).Succeed());

        // Calls of a function, each in a container of its own, run there too.
        (await BerthAsync(
            "function", "deploy", "-v", "pages:/srv:ro", "read", "demo/busybox", "sh", "-c",
            "cat /srv/file; echo more > /srv/file || echo refused")).Succeed();
        Assert.Equal("kept\nrefused", (await BerthAsync([], "function", "invoke", "read")).Succeed());

        await two.KillAsync();
        await UntilAsync(two, n => n.State == "lost");
        string waiting = await SubmitAsync("pages:/srv", "cat /srv/file");
        await Condition.HoldsAsync("it is told what it waits for", async () =>
        {
            string told = (await BerthAsync("task", "get", waiting)).Succeed();
            return told.Contains("The volume 'pages' is on node worker-2, which is lost.", StringComparison.Ordinal)
                ? null : told;
        });
        Assert.Contains(
            "volume pages elsewhere", (await BerthAsync("why", waiting)).Succeed(), StringComparison.Ordinal);
        ToolResult kept = await BerthAsync("volume", "rm", "pages");
        Assert.Contains("can't be reached from here", kept.Error, StringComparison.Ordinal);
        two.Join(NodeAddress);
        (await BerthAsync("task", "wait", waiting)).Succeed();
        Assert.Equal("kept", (await BerthAsync("task", "result", waiting)).Succeed());
        Assert.Equal("worker-2", await NodeOfAsync(waiting));

        string folder = Path.Combine(two.Data, "volumes", "pages");
        Assert.True(File.Exists(folder + "/file"));
        string busy = await SubmitAsync("pages:/srv", "sleep 600");
        await UntilAsync(two, n => n.Running == 1);
        ToolResult refused = await BerthAsync("volume", "rm", "pages");
        (await BerthAsync("task", "cancel", busy)).Succeed();
        await BerthAsync("task", "wait", busy);
        await UntilAsync(two, n => n.Running == 0);
        (await BerthAsync("volume", "rm", "pages")).Succeed();

        Assert.Contains("Something runs with the volume", refused.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder));
        Assert.False(Directory.Exists(Path.Combine(one.Data, "volumes", "pages")));
        Assert.DoesNotContain("pages", (await BerthAsync("volume", "ls")).Succeed(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_volume_of_a_node_that_was_removed_and_joins_again_has_nothing_of_the_one_before()
    {
        MachineProcess worker = await JoinAsync("worker-1");
        (await BerthAsync("volume", "create", "--node", "worker-1", "pages")).Succeed();
        string written = await SubmitAsync("pages:/srv", "echo old > /srv/file");
        (await BerthAsync("task", "wait", written)).Succeed();
        (await BerthAsync(
            "create", "--name", "web", "--node", "worker-1", "-v", "/own", "demo/busybox", "sh", "-c",
            "echo again >> /own/file; cat /own/file")).Succeed();
        (await BerthAsync("start", "-a", "web")).Succeed();
        await worker.StopAsync();
        (await BerthAsync("node", "rm", "worker-1")).Succeed();

        File.Delete(Path.Combine(worker.Data, "identity.pem"));
        worker.Join(NodeAddress, (await BerthAsync("node", "token", "create")).Succeed());
        await UntilAsync(worker, n => n.State == "ready");
        (await BerthAsync("volume", "create", "--node", "worker-1", "pages")).Succeed();
        string fresh = await SubmitAsync("pages:/srv", "ls /srv; echo new > /srv/file");
        (await BerthAsync("task", "wait", fresh)).Succeed();
        string kept = (await BerthAsync("start", "-a", "web")).Succeed();
        (await BerthAsync("rm", "-v", "web")).Succeed();

        Assert.Equal("", (await BerthAsync("task", "result", fresh)).Succeed());
        // A container's own volume is its own wherever its node was meanwhile, and goes with it where that is asked.
        Assert.Equal("again\nagain", kept);
        string volumes = Path.Combine(worker.Data, "volumes");
        string aside = Assert.Single(Directory.GetDirectories(volumes, ".left-*"));
        Assert.Equal("old\n", await File.ReadAllTextAsync(aside + "/pages/file", Soon));
        Assert.Equal("new\n", await File.ReadAllTextAsync(volumes + "/pages/file", Soon));
        Assert.Equal(2, Directory.GetDirectories(volumes).Length);
        Assert.Contains($"set aside in {aside}", worker.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Instances_of_a_function_have_their_volume()
    {
        await JoinAsync("worker-1");
        (await BerthAsync("volume", "create", "--constraint", "node=worker-1", "pages")).Succeed();
        string written = await SubmitAsync("pages:/srv", "echo from the volume > /srv/file");
        (await BerthAsync("task", "wait", written)).Succeed();

        (await BerthAsync(
            "function", "deploy", "--contract", "http", "--port", "8080", "-v", "pages:/srv", "svc", "demo/busybox",
            "sh", "-c", "exec busybox httpd -f -p 8080 -h /srv")).Succeed();
        using HttpResponseMessage answer = await Server.Http.GetAsync("/v1/functions/svc/file", Soon);

        Assert.Equal("from the volume\n", await answer.Content.ReadAsStringAsync(Soon));
        Assert.Equal("worker-1", await NodeOfAsync(answer.Headers.GetValues("Berth-Instance").Single()));
        Assert.NotEqual(0, (await BerthAsync("volume", "rm", "pages")).ExitCode);
    }

    [Fact]
    public async Task A_nodes_administrator_says_which_folders_are_had_and_memory_is_had_anywhere()
    {
        string allowed = Directory.CreateDirectory(Path.Combine(Server.Folder, "photos")).FullName;
        await File.WriteAllTextAsync(allowed + "/one", "a photo", Soon);
        await JoinAsync("worker-1");
        await JoinAsync("worker-2", "--mount-allow", Server.Folder);

        string there = await SubmitAsync(
            $"{allowed}:/photos:ro", "cat /photos/one; echo > /photos/two || echo ' refused'");
        (await BerthAsync("task", "wait", there)).Succeed();
        ToolResult nowhere = await CallAsync(("Berth-Volume", "/etc:/machine"));
        ToolResult memory = await CallAsync(
            ("Berth-Tmpfs", "/scratch:size=1Mi"), ("Berth-Constraint", "node=worker-1"));

        Assert.Equal("a photo refused", (await BerthAsync("task", "result", there)).Succeed());
        Assert.Equal("worker-2", await NodeOfAsync(there));
        Assert.Contains("host folder /etc 3", nowhere.Text, StringComparison.Ordinal);
        Assert.Contains("No space left", memory.Text, StringComparison.Ordinal);
    }

    private Task<ToolResult> BerthAsync(params string[] arguments) => Server.BerthAsync(arguments);

    private Task<ToolResult> BerthAsync(byte[] input, params string[] arguments) =>
        Server.BerthAsync(input, arguments);

    private async Task<string> SubmitAsync(string volume, string script) =>
        (await BerthAsync("task", "submit", "-v", volume, "demo/busybox", "sh", "-c", script)).Succeed();

    /// <summary>Writes more to a folder than is in it, with headers as curl sends them.</summary>
    private Task<ToolResult> CallAsync(params (string Name, string Value)[] headers)
    {
        string given = string.Concat(headers.Select(h => $"-H '{h.Name}: {Uri.EscapeDataString(h.Value)}' "));
        return Server.ShellAsync(
            $"curl -sS -X POST {given}-H 'Berth-Command: sh,-c,dd%20if%3D/dev/zero%20of%3D/scratch/x%20bs%3D1M' "
            + "-H \"Authorization: Bearer $BERTH_TOKEN\" $BERTH_HOST/v1/call/demo/busybox");
    }

    private async Task<string?> NodeOfAsync(string run) =>
        (await Server.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{run}", Soon)).GetProperty("node").GetString();
}
