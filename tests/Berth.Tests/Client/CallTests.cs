using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Berth.Tests.Client;

/// <summary>Calls of the SDK against a real HTTP server that plays Berth.</summary>
public sealed class CallTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Output_comes_while_input_still_goes()
    {
        await using PlayedServer server = await PlayedServer.StartAsync(EchoAsync);
        using BerthClient client = server.Client();
        using LockStepStream input = new();

        await using Call call = await client.Runs.CallAsync("demo/cat", RunOptions.None, input, Cancel);
        byte[] buffer = new byte[16];
        for (int round = 0; round < 3; round++)
        {
            // The next round's input is only given once this one's output was read: buffering either way would hang.
            input.Give($"round {round};");
            await call.Output.ReadExactlyAsync(buffer.AsMemory(0, 8), Cancel);
            Assert.Equal($"round {round};", Encoding.UTF8.GetString(buffer, 0, 8));
        }

        input.End();
        Assert.Equal(0, await call.Output.ReadAsync(buffer, Cancel));
        CallOutcome outcome = await call.CompleteAsync(Cancel);

        Assert.True(outcome.Succeeded);
        Assert.Equal("r1", outcome.RunId);
    }

    [Fact]
    public async Task A_large_body_passes_whole()
    {
        await using PlayedServer server = await PlayedServer.StartAsync(EchoAsync);
        using BerthClient client = server.Client();
        byte[] body = new byte[5_000_001];
        new Random(7).NextBytes(body);

        await using Call call = await client.Runs.CallAsync(
            "demo/cat", RunOptions.None, new MemoryStream(body), Cancel);
        using MemoryStream output = new();
        await call.Output.CopyToAsync(output, Cancel);

        Assert.True((await call.CompleteAsync(Cancel)).Succeeded);
        Assert.Equal(body, output.ToArray());
    }

    [Fact]
    public async Task Options_travel_as_headers_one_line_each()
    {
        string[] arguments = [];
        string path = "";
        await using PlayedServer server = await PlayedServer.StartAsync(context =>
        {
            arguments = [.. context.Request.Headers["Berth-Arg"]!];
            path = context.Request.Path;
            return EchoAsync(context);
        });
        using BerthClient client = server.Client();
        RunOptions options = new() { Arguments = ["a,b", "ü %\n"], Timeout = TimeSpan.FromSeconds(90) };

        await using Call call = await client.Runs.CallAsync("demo/a:1", options, null, Cancel);

        Assert.Equal(["a%2Cb", "%C3%BC%20%25%0A"], arguments);
        Assert.Equal("/v1/call/demo/a:1", path);
    }

    [Fact]
    public async Task A_failed_program_is_an_outcome_with_its_last_words()
    {
        await using PlayedServer server = await PlayedServer.StartAsync(async context =>
        {
            context.Response.StatusCode = 502;
            context.Response.Headers["Berth-Run-Id"] = "r1";
            context.Response.Headers["Berth-Reason"] = "exit_code";
            await context.Response.WriteAsync(
                """
                {"type":"t","title":"T","status":502,"detail":"d","code":"run_failed","runId":"r1","exitCode":3,
                "stderr":"oh"}
                """,
                Cancel);
        });
        using BerthClient client = server.Client();

        await using Call call = await client.Runs.CallAsync("demo/a", RunOptions.None, null, Cancel);
        Assert.Equal(0, await call.Output.ReadAsync(new byte[1], Cancel));
        CallOutcome outcome = await call.CompleteAsync(Cancel);

        Assert.Equal((3, "exit_code", "oh"), (outcome.ExitCode, outcome.Reason, outcome.Problem?.Stderr));
    }

    [Fact]
    public async Task A_refusal_before_the_run_is_an_exception()
    {
        await using PlayedServer server = await PlayedServer.StartAsync(async context =>
        {
            context.Response.StatusCode = 404;
            await context.Response.WriteAsync(
                """{"type":"t","title":"T","status":404,"detail":"No image.","code":"image_not_found"}""", Cancel);
        });
        using BerthClient client = server.Client();

        BerthException e = await Assert.ThrowsAsync<BerthException>(
            () => client.Runs.CallAsync("demo/a", RunOptions.None, new MemoryStream(new byte[1_000_000]), Cancel));

        Assert.Equal((ErrorCode.ImageNotFound, "No image."), (e.Code, e.Message));
    }

    [Fact]
    public async Task The_outcome_comes_with_the_trailers()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task answer = AnswerRawAsync(
            listener,
            "HTTP/1.1 200 OK\r\nBerth-Run-Id: r1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nBerth-Reason: completed\r\nBerth-Exit-Code: 0\r\nBerth-Cpu-Ms: 12.5\r\n"
            + "Berth-Memory-Bytes: 4096\r\n\r\n");
        using BerthClient client = new(new Uri($"http://{listener.LocalEndpoint}"), "t", TimeProvider.System);

        await using Call call = await client.Runs.CallAsync("demo/a", RunOptions.None, null, Cancel);
        using StreamReader output = new(call.Output);
        string text = await output.ReadToEndAsync(Cancel);
        CallOutcome outcome = await call.CompleteAsync(Cancel);
        await answer;

        Assert.Equal("abcde", text);
        Assert.True(outcome.Succeeded);
        Assert.Equal(("r1", 0, 12.5, 4096), (outcome.RunId, outcome.ExitCode, outcome.CpuMs, outcome.PeakMemoryBytes));
    }

    [Theory]
    [InlineData("SSH-2.0-OpenSSH\r\n\r\n")]
    [InlineData("HTTP/1.1 abc\r\n\r\n")]
    public async Task What_is_no_answer_is_refused(string bytes)
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task answer = AnswerRawAsync(listener, bytes);
        using BerthClient client = new(new Uri($"http://{listener.LocalEndpoint}"), "t", TimeProvider.System);

        BerthException e = await Assert.ThrowsAsync<BerthException>(
            () => client.Runs.CallAsync("demo/a", RunOptions.None, null, Cancel));
        await answer;

        Assert.Equal(ErrorCode.Upstream, e.Code);
    }

    [Fact]
    public async Task A_torn_answer_is_never_taken_for_a_whole_one()
    {
        TaskCompletionSource read = new();
        await using PlayedServer server = await PlayedServer.StartAsync(async context =>
        {
            if (context.Request.Path.StartsWithSegments("/v1/runs"))
            {
                await context.Response.WriteAsync(FailedRun, Cancel);
                return;
            }

            context.Response.Headers["Berth-Run-Id"] = "r1";
            await context.Response.WriteAsync("half", Cancel);
            await context.Response.Body.FlushAsync(Cancel);
            await read.Task.WaitAsync(Cancel);
            context.Abort();
        });
        using BerthClient client = server.Client();

        await using Call call = await client.Runs.CallAsync("demo/a", RunOptions.None, null, Cancel);
        await call.Output.ReadExactlyAsync(new byte[4], Cancel);
        read.SetResult();
        await Assert.ThrowsAnyAsync<IOException>(() => call.Output.CopyToAsync(Stream.Null, Cancel));
        CallOutcome outcome = await call.CompleteAsync(Cancel);

        Assert.False(outcome.Succeeded);
        Assert.Equal(("output_limit", "run_output_limit"), (outcome.Reason, outcome.Problem?.Code));
    }

    [Fact]
    public async Task A_connection_for_each_request_serves_as_well()
    {
        string asked = "";
        await using PlayedServer server = await PlayedServer.StartAsync(context =>
        {
            asked += $"{context.Request.Method} {context.Request.Path} {context.Request.Headers.Authorization} ";
            return context.Request.Method == "DELETE" ? Task.CompletedTask : EchoAsync(context);
        });
        using BerthClient client = new(server.Address, "a-token", TimeProvider.System, new OneShotHandler());

        RunView run = await client.Runs.GetAsync("r1", Cancel);
        await client.Tokens.RemoveAsync("k1", Cancel);

        Assert.Equal("succeeded", run.State);
        Assert.Equal("GET /v1/runs/r1 Bearer a-token DELETE /v1/tokens/k1 Bearer a-token ", asked);
    }

    [Fact]
    public async Task Nobody_listening_is_said_with_the_way_out()
    {
        using BerthClient client = new(new Uri("http://127.0.0.1:1"), "t", TimeProvider.System);

        BerthException e = await Assert.ThrowsAsync<BerthException>(
            () => client.Runs.CallAsync("demo/a", RunOptions.None, null, Cancel));

        Assert.Equal(ErrorCode.Upstream, e.Code);
        Assert.Contains("berth serve", e.Message);
    }

    private static async Task AnswerRawAsync(TcpListener listener, string bytes)
    {
        using TcpClient connection = await listener.AcceptTcpClientAsync(Cancel);
        NetworkStream stream = connection.GetStream();
        byte[] buffer = new byte[4096];
        int filled = 0;
        while (!buffer.AsSpan(0, filled).EndsWith("\r\n\r\n"u8))
        {
            filled += await stream.ReadAsync(buffer.AsMemory(filled), Cancel);
        }

        await stream.WriteAsync(Encoding.ASCII.GetBytes(bytes), Cancel);
    }

    private const string FailedRun =
        """
        {"id":"r1","kind":"call","state":"failed","image":"demo/a","imageDigest":"sha256:0",
        "createdAt":"2026-01-02T03:04:05Z","attempts":1,"reason":"output_limit","message":"Too much.","labels":{}}
        """;

    private static async Task EchoAsync(HttpContext context)
    {
        if (context.Request.Path.StartsWithSegments("/v1/runs"))
        {
            await context.Response.WriteAsync(
                FailedRun.Replace("\"failed\"", "\"succeeded\"", StringComparison.Ordinal)
                    .Replace("output_limit", "completed", StringComparison.Ordinal),
                Cancel);
            return;
        }

        context.Response.Headers["Berth-Run-Id"] = "r1";
        await context.Response.Body.FlushAsync(Cancel);
        byte[] buffer = new byte[4096];
        for (int read; (read = await context.Request.Body.ReadAsync(buffer, Cancel)) > 0;)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), Cancel);
            await context.Response.Body.FlushAsync(Cancel);
        }
    }
}
