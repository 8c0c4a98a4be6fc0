using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Secrets of functions on real runc: who can read them, who can't, and that nothing of them stays.</summary>
[Collection("server")]
public sealed class SecretTests
{
    private const string Value = "a value that nobody should find";

    [Fact]
    public async Task A_program_reads_its_secrets_as_its_own_user_and_nobody_writes_them()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await CreateAsync(server, "db", Value);
        await BerthAsync(
            server, "function", "deploy", "-u", "1234:56", "--secret", "db:/run/secrets/pass", "--secret", "db:env=DB",
            "files", "demo/busybox", "sh", "-c",
            "cat /run/secrets/pass; echo; ls -ln /run/secrets | tail -n 1; echo $DB; "
            + "echo x > /run/secrets/pass; echo x > /run/secrets/new; rm -f /run/secrets/pass; chmod 777 /run/secrets; "
            + "echo ended");
        await BerthAsync(
            server, "function", "deploy", "--secret", "db", "root", "demo/busybox", "sh", "-c",
            "echo x > /run/secrets/db || mount -o remount,rw /run/secrets || cat /run/secrets/db");
        await BerthAsync(
            server, "function", "deploy", "--secret", "db:env=DB", "inner", "demo/busybox", "sh", "-c", "echo $DB");

        string[] lines = (await server.BerthAsync("function", "invoke", "files")).Succeed().Split('\n');
        string root = (await server.BerthAsync("function", "invoke", "root")).Succeed();
        string inner = (await server.BerthAsync("function", "invoke", "inner")).Succeed();

        Assert.Equal(Value, lines[0]);
        Assert.Equal(["-r--------", "1", "1234", "56", "31"], Words(lines[1])[..5]);
        Assert.Equal([Value, "ended"], lines[2..]);
        Assert.Equal(Value, root);
        Assert.Equal(Value, inner);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
        await NothingHasItAsync(server);
    }

    [Fact]
    public async Task An_instance_has_them_too_and_gets_the_new_value_at_its_next_start_also_after_a_kill()
    {
        await using ServerProcess server = new();
        await server.StartAsync();
        string root = Directory.CreateDirectory(Path.Combine(server.Folder, "service")).FullName;
        Directory.CreateDirectory(root + "/bin");
        File.Copy("/bin/busybox", root + "/bin/busybox");
        foreach (string name in (string[])["sh", "httpd", "cat"])
        {
            File.CreateSymbolicLink($"{root}/bin/{name}", "busybox");
        }

        (await server.BerthAsync("image", "pack", "-q", "-e", "PATH=/bin", "demo/httpd", root)).Succeed();
        await CreateAsync(server, "db", Value);
        await DeployHttpAsync(server);
        string first = await GetAsync(server);
        await CreateAsync(server, "db", "newer", "--replace");
        string running = await GetAsync(server);
        await server.KillAsync();
        await server.StartAsync();
        string second = await GetAsync(server);

        Assert.Equal((Value, Value, "newer"), (first, running, second));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
        await NothingHasItAsync(server);
    }

    private static Task DeployHttpAsync(ServerProcess server) => BerthAsync(
        server, "function", "deploy", "--contract", "http", "--secret", "db", "web", "demo/httpd", "sh", "-c",
        "exec httpd -f -p $PORT -h /run/secrets");

    private static async Task<string> GetAsync(ServerProcess server) => (await server.ShellAsync(
        "curl -sS -H \"Authorization: Bearer $BERTH_TOKEN\" $BERTH_HOST/v1/functions/web/db")).Succeed();

    private static async Task CreateAsync(
        ServerProcess server, string name, string value, params string[] more) =>
        (await server.BerthAsync(System.Text.Encoding.UTF8.GetBytes(value), ["secret", "create", .. more, name]))
            .Succeed();

    private static async Task BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();

    private static string[] Words(string line) =>
        line.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>Neither the data folder nor what the server said.</summary>
    private static async Task NothingHasItAsync(ServerProcess server)
    {
        ToolResult found = await Tool.RunAsync("grep", ["-rlF", Value, server.Data], []);
        Assert.Equal("", found.Text);
        Assert.DoesNotContain(Value, server.Log, StringComparison.Ordinal);
    }
}
