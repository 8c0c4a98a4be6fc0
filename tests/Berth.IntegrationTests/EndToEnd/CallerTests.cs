using System.Diagnostics;
using System.Net;
using Berth.Api.Runs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Callers that go away, and callers that are many.</summary>
[Collection("server")]
public sealed class CallerTests
{
    [Theory]
    [InlineData("trap '' TERM; echo on; sleep 1000")]
    [InlineData("cat > /dev/null; sleep 1000")]
    [InlineData("yes")]
    public async Task A_killed_caller_takes_its_program_with_it(string script)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync("--grace", "100ms");
        TaskBook book = new(server, "gone");
        using Process curl = Tool.Start(
            "curl",
            [
                "-sS", "-N", "-T", "-", "-X", "POST", "-H", $"Authorization: Bearer {server.Token}", "-H", "Expect:",
                "-H", "Berth-Label: book=gone", "-H", "Berth-Arg: sh", "-H", "Berth-Arg: -c",
                "-H", $"Berth-Arg: {Uri.EscapeDataString(script)}", $"{server.Address}/v1/call/demo/busybox",
            ]);
        await curl.StandardInput.WriteAsync("half of it");
        await curl.StandardInput.FlushAsync();
        await Condition.HoldsAsync("the call is running", async () =>
            await book.RunsAsync() is [{ State: "running" }] ? null : "no call");

        curl.Kill();
        await curl.WaitForExitAsync();

        RunView run = await book.EndAsync((await book.RunsAsync()).Single().Id);
        Assert.Equal(("canceled", "client_gone"), (run.State, run.Reason));
        await ServerTraces.AreOnlySandboxesAsync(server);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Two_hundred_at_once_are_served_each_its_own()
    {
        const int Callers = 200;
        await using ServerProcess server = await BusyboxServer.StartAsync("--max-running", "3");
        TaskBook book = new(server, "many");

        string[] ids = await Task.WhenAll(Enumerable.Range(0, Callers).Select(i => CallAsync(server, i)));

        Assert.Equal(Callers, ids.Distinct().Count());
        IReadOnlyList<RunView> runs = await book.RunsAsync();
        Assert.Equal(ids.Order(), runs.Select(r => r.Id).Order());
        Assert.All(runs, run => Assert.Equal("succeeded", run.State));
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Theory]
    [InlineData("--http1.1", "false", 0)]
    [InlineData("--http1.1", "true", 0)]
    [InlineData("--http2-prior-knowledge", "false", 0)]
    [InlineData("--http2-prior-knowledge", "true", 0)]
    [InlineData("--http1.1", "false", 3)]
    [InlineData("--http2-prior-knowledge", "false", 3)]
    public async Task Curl_gets_the_answer_of_a_program_that_leaves_a_large_body_unread(
        string protocol, string stream, int exitCode)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        string body = Path.Combine(server.Folder, "body");
        await File.WriteAllBytesAsync(body, new byte[100_000_000]);

        ToolResult result = await Tool.RunAsync(
            "curl",
            [
                "-sS", protocol, "-X", "POST", "-H", $"Authorization: Bearer {server.Token}", "-H", "Berth-Arg: sh",
                "-H", "Berth-Arg: -c", "-H", $"Berth-Arg: echo done%3B exit {exitCode}",
                "-H", $"Berth-Stream: {stream}", "-w", " %{http_code}", "-m", "50",
                "-T", body, server.Address + "/v1/call/demo/busybox",
            ]);

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.EndsWith(exitCode == 0 ? "done\n 200" : " 502", result.Text, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
    }

    [Theory]
    [InlineData("/v1/call/demo/nothing", "A: b", "404")]
    [InlineData("/v1/nowhere", "A: b", "404")]
    [InlineData("/v1/call/demo/busybox", "Authorization: Bearer wrong", "401")]
    public async Task Curl_with_http2_gets_the_refusal_of_a_body_that_nobody_wants(
        string path, string header, string status)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        string authorization = header.StartsWith("Authorization", StringComparison.Ordinal)
            ? header
            : $"Authorization: Bearer {server.Token}";

        string body = Path.Combine(server.Folder, "body");
        await File.WriteAllBytesAsync(body, new byte[8_000_000]);
        ToolResult result = await Tool.RunAsync(
            "curl",
            [
                "-sS", "--http2-prior-knowledge", "-X", "POST", "-H", authorization, "-H", header, "-o", "/dev/null",
                "-w", "%{http_code}", "-T", body, server.Address + path,
            ]);

        Assert.True(result.ExitCode == 0, $"exit code {result.ExitCode}: {result.Error}");
        Assert.Equal(status, result.Text);
    }

    private static async Task<string> CallAsync(ServerProcess server, int number)
    {
        byte[] body = TaskBook.Bytes(number, 1 + (number * 331 % 70_000));
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/busybox")
        {
            Content = new ByteArrayContent(body),
        };
        request.Headers.Add("Berth-Label", "book=many");
        using HttpResponseMessage answer = await server.Http.SendAsync(request);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(body, await answer.Content.ReadAsByteArrayAsync());
        return answer.Headers.GetValues("Berth-Run-Id").Single();
    }
}
