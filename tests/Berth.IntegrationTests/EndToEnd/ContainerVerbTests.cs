using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Verbs around containers: what they are given, called and measured by, and what is kept for them.</summary>
[Collection("server")]
public sealed class ContainerVerbTests(BusyboxFixture fixture) : IClassFixture<BusyboxFixture>
{
    private const int Interrupt = 2;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private ServerProcess Server => fixture.Server;

    [Fact]
    public async Task Variables_are_read_from_a_file_and_those_named_win()
    {
        string file = Path.Combine(Server.Folder, "variables");
        await File.WriteAllTextAsync(file, "# of the file\nA=from a file\n\n  B=1=2\nC\nD=of the file\n");
        Dictionary<string, string> shell = new(Server.Variables) { ["C"] = "of the shell" };

        ToolResult run = await Tool.RunAsync(
            ServerProcess.Executable,
            ["run", "--env-file", file, "-e", "D=named", "demo/busybox", "sh", "-c", "echo \"$A|$B|$C|$D\""],
            environment: shell);
        ToolResult missing = await Server.BerthAsync("run", "--env-file", file + "-none", "demo/busybox", "true");

        Assert.Equal("from a file|1=2|of the shell|named", run.Succeed());
        Assert.Equal(64, missing.ExitCode);
        Assert.Contains("can't be read", missing.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_container_that_runs_gets_a_name_that_nobody_has()
    {
        await fixture.BerthAsync("run", "-d", "--name", "first", "demo/busybox", "sleep", "600");
        await fixture.BerthAsync("create", "--name", "second", "demo/busybox");

        await fixture.BerthAsync("rename", "first", "shop");
        ToolResult taken = await Server.BerthAsync("rename", "shop", "second");
        ToolResult gone = await Server.BerthAsync("inspect", "first");

        Assert.Equal("shop", (await fixture.InspectAsync("shop")).GetProperty("name").GetString());
        Assert.Equal("fine", await fixture.BerthAsync("exec", "shop", "echo", "fine"));
        Assert.Equal((75, 66), (taken.ExitCode, gone.ExitCode));
        await fixture.BerthAsync("rm", "-f", "shop", "second");
    }

    [Fact]
    public async Task What_a_container_uses_is_told_again_and_again_until_Ctrl_C()
    {
        await fixture.BerthAsync("run", "-d", "--name", "web", "--memory", "64Mi", "demo/busybox", "sleep", "600");

        using Process stats = Tool.Start(ServerProcess.Executable, ["stats", "-o", "json", "web"], Server.Variables);
        JsonElement first = await ReadAsync(stats);
        JsonElement second = await ReadAsync(stats);
        ServerProcess.Signal(stats.Id, Interrupt);
        await Condition.HoldsAsync("the command has ended", () => stats.HasExited);

        Assert.Equal(130, stats.ExitCode);
        Assert.Equal("web", first.GetProperty("name").GetString());
        Assert.Equal(64L * 1024 * 1024, first.GetProperty("memoryLimitBytes").GetInt64());
        Assert.True(first.GetProperty("processes").GetInt32() > 0, first.ToString());
        Assert.True(
            second.GetProperty("at").GetDateTimeOffset() > first.GetProperty("at").GetDateTimeOffset(),
            $"{first} and {second}");
        await fixture.BerthAsync("rm", "-f", "web");
    }

    [Fact]
    public async Task Mounts_are_said_in_words_and_a_volume_stays_while_somebody_has_it()
    {
        await File.WriteAllTextAsync(Path.Combine(fixture.Shared, "f"), "shared\n");
        Assert.Equal("pages", await fixture.BerthAsync("volume", "create", "pages"));

        string seen = await fixture.BerthAsync(
            "run", "--name", "first", "--mount", "type=volume,source=pages,target=/srv",
            "--mount", $"type=bind,src={fixture.Shared},dst=/s,readonly",
            "--mount", "type=tmpfs,destination=/scratch,tmpfs-size=1m", "demo/busybox", "sh", "-c",
            "cat /s/f; echo x > /s/g || echo read only; echo kept > /srv/a; "
            + "dd if=/dev/zero of=/scratch/big bs=65536 count=32 || echo full");
        Assert.Equal("pages", await fixture.BerthAsync("volume", "create", "pages"));
        string kept = await fixture.BerthAsync(
            "run", "--name", "second", "--mount", "src=pages,target=/srv,ro", "demo/busybox", "sh", "-c",
            "cat /srv/a; echo x > /srv/b || echo read only");
        ToolResult unknown = await Server.BerthAsync(
            "run", "--rm", "--mount", "type=nfs,target=/srv", "demo/busybox", "true");
        ToolResult used = await Server.BerthAsync("volume", "rm", "pages");
        string listed = await fixture.BerthAsync("volume", "ls");

        Assert.Equal("shared\nread only\nfull", seen);
        Assert.Equal("kept\nread only", kept);
        Assert.Equal((64, 75), (unknown.ExitCode, used.ExitCode));
        Assert.Contains("belongs to first, second", used.Error, StringComparison.Ordinal);
        Assert.Matches(@"\npages .* first, second\z", listed);
        await fixture.BerthAsync("rm", "-f", "first", "second");
        Assert.Equal("pages", await fixture.BerthAsync("volume", "rm", "pages"));
        Assert.Equal("", await fixture.BerthAsync("volume", "ls", "-q"));
    }

    [Fact]
    public async Task What_is_kept_is_counted_and_what_nobody_needs_is_removed()
    {
        await fixture.BerthAsync("run", "-d", "--name", "web", "-v", "pages:/srv", "demo/busybox", "sleep", "600");
        await fixture.BerthAsync("run", "--name", "ended", "-v", "/own", "demo/busybox", "true");
        await fixture.BerthAsync("volume", "create", "spare");
        string madeUp = await fixture.BerthAsync("volume", "create");

        JsonElement usage = JsonDocument.Parse(await fixture.BerthAsync("system", "df", "-o", "json"))
            .RootElement.GetProperty("usage");
        string table = await fixture.BerthAsync("system", "df");
        ToolResult unasked = await Server.BerthAsync("system", "prune");
        using Pty asked = new($"'{ServerProcess.Executable}' system prune", Server.Variables);
        await asked.ShowsAsync("[y/N]");
        asked.Type("n\r");
        int declined = await asked.EndsAsync();
        string pruned = await fixture.BerthAsync("system", "prune", "-f");
        string volumes = await fixture.BerthAsync("system", "prune", "-f", "--volumes");

        Assert.Equal(
            ["images 1 1", "containers 2 1", "volumes 4 2"],
            usage.EnumerateArray().Select(
                l => $"{l.GetProperty("kind")} {l.GetProperty("count")} {l.GetProperty("active")}"));
        Assert.True(usage[0].GetProperty("sizeBytes").GetInt64() > 0, usage.ToString());
        Assert.Contains("RECLAIMABLE", table, StringComparison.Ordinal);
        Assert.Equal((64, 1), (unasked.ExitCode, declined));
        Assert.StartsWith("anonymous-", madeUp, StringComparison.Ordinal);
        Assert.Equal($"ended\n{madeUp}", pruned);
        Assert.Equal("spare", volumes);
        Assert.Equal("pages", await fixture.BerthAsync("volume", "ls", "-q"));
        Assert.Equal("running", (await fixture.InspectAsync("web")).GetProperty("state").GetString());
        await fixture.BerthAsync("rm", "-f", "web");
        await fixture.BerthAsync("volume", "rm", "pages");
    }

    private static async Task<JsonElement> ReadAsync(Process stats) =>
        JsonDocument.Parse(await stats.StandardOutput.ReadLineAsync(Stop) ?? "").RootElement;
}
