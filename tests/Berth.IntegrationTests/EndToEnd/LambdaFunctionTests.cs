using System.Text.Json;
using Berth.IntegrationTests.Documents;
using Berth.Testing.Programs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>An image made for AWS Lambda on real runc, called as AWS's clients and as OpenFaaS's callers
/// call.</summary>
[Collection("server")]
public sealed class LambdaFunctionTests
{
    private const string Signed =
        "curl -sS -m 20 --aws-sigv4 aws:amz:us-east-1:lambda --user berth:any "
        + "-H \"X-Amz-Security-Token: $BERTH_TOKEN\" ";

    private const string Bearer = "curl -sS -m 20 -H \"Authorization: Bearer $BERTH_TOKEN\" ";

    [Fact]
    public async Task An_image_of_Lambda_runs_unchanged()
    {
        await using ServerProcess server = new();
        await server.StartAsync();
        await PackAsync(server);
        (await server.BerthAsync("function", "deploy", "-m", "64m", "--timeout", "1s", "fn", "demo/fn")).Succeed();

        string invoked = await ShellAsync(
            server, Signed + "-D head -d '{\"name\":\"Ada\"}' -H 'X-Amz-Log-Type: Tail' "
            + "$BERTH_HOST/2015-03-31/functions/fn/invocations; "
            + "sed -n 's/^x-amz-log-result: //ip' head | base64 -d | sed -n '2p'");
        Assert.Equal("{\"name\":\"Ada\"}app.handler got {\"name\":\"Ada\"}", invoked);
        Assert.Equal(
            "\"127.0.0.1:9001\"",
            await ShellAsync(server, Bearer + "-d '\"env AWS_LAMBDA_RUNTIME_API\"' $BERTH_HOST/v1/functions/fn"));
        Assert.Equal(
            "[7]200", await ShellAsync(server, Bearer + "-w '%{http_code}' -d '[7]' $BERTH_HOST/function/fn"));

        Assert.Equal(
            [("Boom", "it is bad"), ("Sandbox.Timedout", "timed out"), ("Runtime.ExitError", "exited with 3")],
            [
                await FailureAsync(server, "fail", "it is bad"), await FailureAsync(server, "slow", "timed out"),
                await FailureAsync(server, "exit", "exited with 3"),
            ]);
        string large = await ShellAsync(
            server, "(printf '\"'; head -c 6291454 /dev/zero | tr '\\0' x; printf '\"') > large; "
            + Bearer + "--data-binary @large $BERTH_HOST/v1/functions/fn | cmp - large && echo same");
        Assert.Equal("same", large);

        ToolResult broken = await server.BerthAsync("function", "deploy", "fn", "demo/fn", "broken");
        Assert.NotEqual(0, broken.ExitCode);
        Assert.Contains("Runtime.ImportModuleError: no module 'app'", broken.Error, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>Entry point and command as AWS's base images have them.</summary>
    internal static async Task PackAsync(ServerProcess server)
    {
        string root = Path.Combine(server.Folder, "fn");
        Directory.CreateDirectory(root);
        StaticProgram.Compile(
            Path.Combine(RepositoryFolder.Path, "tests/Berth.Testing/Programs/lambda.c"),
            root + "/lambda-entrypoint.sh");
        (await server.BerthAsync(
            "image", "pack", "-q", "--entrypoint", "/lambda-entrypoint.sh", "--cmd", "app.handler", "demo/fn", root))
            .Succeed();
    }

    private static async Task<string> ShellAsync(ServerProcess server, string script) =>
        (await server.ShellAsync($"cd {server.Folder}; {script}")).Succeed();

    /// <returns>The error's type, and <paramref name="expected"/> where the message has it.</returns>
    private static async Task<(string Type, string Message)> FailureAsync(
        ServerProcess server, string wish, string expected)
    {
        string text = await ShellAsync(
            server, Signed + $"-d '\"{wish}\"' $BERTH_HOST/2015-03-31/functions/fn/invocations");
        using JsonDocument told = JsonDocument.Parse(text);
        string message = told.RootElement.GetProperty("errorMessage").GetString()!;
        return (told.RootElement.GetProperty("errorType").GetString()!,
            message.Contains(expected, StringComparison.Ordinal) ? expected : message);
    }
}
