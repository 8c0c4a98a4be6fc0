using System.Net;
using Berth.Api.Runs;
using Berth.Node;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Stopping a server that is at work: what can finish does, the rest is handed back, and nothing is left.
/// </summary>
[Collection("server")]
public sealed class StoppedServerTests
{
    private const int Terminate = 15;
    private const int Interrupt = 2;

    private static readonly string[] Hasty = ["--max-running", "4", "--shutdown-grace", "5s"];
    private static readonly string[] Patient = ["--max-running", "4", "--shutdown-grace", "1h", "--grace", "10m"];

    [Theory]
    [InlineData(Terminate)]
    [InlineData(Interrupt)]
    public async Task A_signal_lets_work_finish_or_hands_it_back(int signal)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Hasty);
        TaskBook book = new(server, "stopped");
        byte[] body = TaskBook.Bytes(1, 100_000);
        TaskCompletionSource letGo = new();
        using HeldContent held = new(body.AsMemory(0, 50_000), letGo.Task, body.AsMemory(50_000));
        Task<byte[]> call = CallAsync(server, "exec cat", held);
        string endless = await book.SubmitAsync("endless", [], "echo up >&2; trap '' TERM; sleep 1000");
        string[] more = await Task.WhenAll(Enumerable.Range(0, 20).Select(
            i => book.SubmitAsync($"t{i}", body, "cat; sleep 0.3")));
        using HttpResponseMessage follower = await server.Http.GetAsync(
            new Uri($"/v1/runs/{endless}/logs?follow=true", UriKind.Relative),
            HttpCompletionOption.ResponseHeadersRead);
        using HttpResponseMessage listener = await server.Http.GetAsync(
            new Uri("/v1/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        await IsRunningAsync(book, endless);
        await CallRunsAsync(server);

        ServerProcess.Signal(server.Pid, signal);
        await IsStoppingAsync(server, times: 1);
        letGo.SetResult();

        Assert.Equal(0, await server.EndsAsync());
        Assert.Equal(body, await call);
        await ServerTraces.AreGoneAsync(server);
        await server.StartAsync(Hasty);
        RunView back = await book.FindAsync(endless);
        Assert.Null(back.EndedAt);
        Assert.Contains((await book.WhyAsync(endless)).Events, e => e.Type == "handed_back");
        using HttpResponseMessage cancelled = await server.Http.PostAsync(
            new Uri($"/v1/runs/{endless}/cancel", UriKind.Relative), null);
        Assert.Equal("canceled", (await book.EndAsync(endless)).State);
        foreach (string id in more)
        {
            Assert.Equal("succeeded", (await book.EndAsync(id)).State);
        }

        Assert.Equal(more.Length + 1, (await book.RunsAsync()).Count);
    }

    [Fact]
    public async Task A_second_signal_stops_it_at_once()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Patient);
        TaskBook book = new(server, "hurried");
        string task = await book.SubmitAsync("endless", [], "trap '' TERM; echo up >&2; sleep 1000");
        Task<byte[]> call = CallAsync(
            server, "trap '' TERM; sleep 1000", new ByteArrayContent([]));
        await IsRunningAsync(book, task);
        await CallRunsAsync(server);

        Assert.Equal(0, await HurryAsync(server, times: 1));
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => call);
        await ServerTraces.AreGoneAsync(server);
        await server.StartAsync(Patient);
        await IsRunningAsync(book, task);
        Assert.Equal(0, await HurryAsync(server, times: 2));
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_signal_while_it_starts_leaves_nothing()
    {
        await using ServerProcess server = new();
        server.Begin();
        await Condition.HoldsAsync(
            "it has taken the data folder", () => File.Exists(Path.Combine(server.Data, "lock")));

        await server.StopAsync(Terminate);

        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_machine_that_another_server_holds_is_said_to_be_held()
    {
        await using ServerProcess server = new();
        string path = $"/run/berth/{NodeOptions.InstanceOf(server.Data)}.lock";
        Directory.CreateDirectory("/run/berth");
        await using (FileStream held = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            ToolResult refused = await Tool.RunAsync(
                ServerProcess.Executable, ["serve", "--data", server.Data, "--listen", server.Host]);

            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains(path, refused.Error, StringComparison.Ordinal);
        }

        await server.StartAsync();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task An_address_in_use_is_named_and_nothing_is_left()
    {
        await using ServerProcess first = new();
        await first.StartAsync();
        await using ServerProcess second = new();

        ToolResult refused = await Tool.RunAsync(
            ServerProcess.Executable, ["serve", "--data", second.Data, "--listen", first.Host]);

        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains(first.Host, refused.Error, StringComparison.Ordinal);
        await ServerTraces.AreGoneAsync(second);
    }

    private static async Task<byte[]> CallAsync(ServerProcess server, string script, HttpContent body)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/busybox") { Content = body };
        foreach (string argument in (string[])["sh", "-c", script])
        {
            request.Headers.Add("Berth-Arg", Uri.EscapeDataString(argument));
        }

        using HttpResponseMessage answer = await server.Http.SendAsync(request);
        return answer.StatusCode == HttpStatusCode.OK
            ? await answer.Content.ReadAsByteArrayAsync()
            : throw new HttpRequestException(await answer.Content.ReadAsStringAsync());
    }

    private static async Task<int> HurryAsync(ServerProcess server, int times)
    {
        ServerProcess.Signal(server.Pid, Terminate);
        // Two signals of a kind that are both still to be delivered are one.
        await IsStoppingAsync(server, times);
        ServerProcess.Signal(server.Pid, Terminate);
        return await server.EndsAsync();
    }

    /// <param name="times">How often it was stopped, this time included.</param>
    private static Task IsStoppingAsync(ServerProcess server, int times) => Condition.HoldsAsync(
        "the server is stopping", () => server.Log.Split("Stopping: waiting for").Length > times);

    private static Task CallRunsAsync(ServerProcess server) => Condition.HoldsAsync("the call is running", async () =>
    {
        string calls = await server.Http.GetStringAsync(new Uri("/v1/runs?kind=call&state=running", UriKind.Relative));
        return calls.Contains("\"running\"", StringComparison.Ordinal) ? null : calls;
    });

    private static Task IsRunningAsync(TaskBook book, string id) => Condition.HoldsAsync(
        $"run {id} is running",
        async () => await book.FindAsync(id) is { State: not "running" } other ? other.State : null);
}
