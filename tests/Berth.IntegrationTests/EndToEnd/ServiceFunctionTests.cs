using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Berth.IntegrationTests.Documents;
using Berth.Testing.Programs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Functions with the http contract on real runc: an image's own server, its answers passed on as they come,
/// and what its callers see when it fails.</summary>
[Collection("server")]
public sealed class ServiceFunctionTests
{
    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Requests_pass_to_an_images_server_and_its_answers_back()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http");

        Assert.Equal("hello", await TextAsync(server, HttpMethod.Post, "svc/echo", "hello"));
        Assert.Equal(("svc", "svc-00001", "8080"), (
            await TextAsync(server, HttpMethod.Get, "svc/env/K_SERVICE"),
            await TextAsync(server, HttpMethod.Get, "svc/env/K_REVISION"),
            await TextAsync(server, HttpMethod.Get, "svc/env/PORT")));
        string head = await TextAsync(server, HttpMethod.Delete, "svc/head/a%2Fb//c?x=%20&y");
        Assert.StartsWith("DELETE /head/a%2Fb//c?x=%20&y HTTP/1.1\r\n", head, StringComparison.Ordinal);
        Assert.DoesNotContain(server.Token, head, StringComparison.Ordinal);
        Assert.Contains("X-Forwarded-Prefix: /v1/functions/svc\r\n", head, StringComparison.Ordinal);
        using HttpResponseMessage root = await SendAsync(server, HttpMethod.Get, "svc/");
        Assert.Equal((404, "no such path\n"), ((int)root.StatusCode, await root.Content.ReadAsStringAsync(Soon)));
        using HttpResponseMessage raw = await SendAsync(server, HttpMethod.Get, "svc/raw");
        Assert.Equal("1", raw.Headers.GetValues("Berth-Revision").Single());
        Assert.False(raw.Headers.Contains("Berth-Forged"), "A program can't speak for the server.");
        using HttpResponseMessage missing = await SendAsync(server, HttpMethod.Get, "svc/status/418");
        Assert.Equal(418, (int)missing.StatusCode);

        // Options of calls that are programs, and a function's name in another spelling.
        string refused = (await server.ShellAsync(
            "curl -sS -o refused -w '%{http_code} ' -H \"Authorization: Bearer $BERTH_TOKEN\" -H 'Berth-Memory: 1Gi' "
            + "$BERTH_HOST/v1/functions/svc/head; curl -sS --path-as-is -o refused -w '%{http_code}' "
            + "-H \"Authorization: Bearer $BERTH_TOKEN\" $BERTH_HOST/v1/tasks/../functions/svc/head")).Succeed();
        Assert.Equal("400 400", refused);

        // As OpenFaaS addresses it, and by HEAD.
        using HttpRequestMessage other = RequestTo(server, HttpMethod.Head, server.Address + "/function/svc/head");
        using HttpResponseMessage brief = await server.Http.SendAsync(other, Soon);
        Assert.Equal(HttpStatusCode.OK, brief.StatusCode);
        Assert.Single(brief.Headers.GetValues("X-Call-Id"));
        await EndAsync(server);
    }

    [Theory]
    [InlineData("200 OK", 0, "hi", "")]
    [InlineData("404 Not Found", 66, "", "berth: The server answered 404: hi")]
    public async Task The_command_line_calls_an_images_server_too(
        string status, int exitCode, string output, string error)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        string answer = $"HTTP/1.1 {status}\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nhi";
        (await server.BerthAsync(
            "function", "deploy", "--contract", "http", "web", "demo/busybox", "sh", "-c",
            $"busybox nc -ll -p $PORT -e busybox printf \"{answer}\"")).Succeed();

        ToolResult called = await server.BerthAsync("hello"u8.ToArray(), "function", "invoke", "web");
        ToolResult refused = await server.BerthAsync("function", "invoke", "web", "argument");

        Assert.Equal((exitCode, output), (called.ExitCode, called.Text));
        Assert.StartsWith(error, called.Error, StringComparison.Ordinal);
        Assert.Equal(64, refused.ExitCode);
        Assert.Contains("Berth-Timeout and Berth-Stream alone", refused.Error, StringComparison.Ordinal);
        await EndAsync(server);
    }

    [Fact]
    public async Task Bodies_stream_both_ways_at_once_and_events_come_as_they_happen()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http");

        // More than all buffers together, answered while it is sent: known length and chunked.
        string script = "head -c 100000000 /dev/zero > big; "
            + "for how in '--data-binary @big' '-T big -H Transfer-Encoding:chunked -X POST'; do "
            + "curl -sS -m 60 $how -H \"Authorization: Bearer $BERTH_TOKEN\" $BERTH_HOST/v1/functions/svc/echo "
            + "| wc -c; "
            + "done";
        string counts = (await server.ShellAsync($"cd {server.Folder}; {script}")).Succeed();
        Assert.Equal(["100000000", "100000000"], counts.Split('\n', StringSplitOptions.RemoveEmptyEntries));

        using HttpRequestMessage request = RequestTo(
            server, HttpMethod.Get, server.Address + "/v1/functions/svc/events/100");
        using HttpResponseMessage response = await server.Http.SendAsync(
            request, HttpCompletionOption.ResponseHeadersRead, Soon);
        using StreamReader events = new(await response.Content.ReadAsStreamAsync(Soon));
        Assert.Equal("data: event 1", await events.ReadLineAsync(Soon));
        // A hundred take five seconds; who reads no more ends the program's work.
        response.Dispose();
        await Condition.HoldsAsync(
            "the event stream that nobody reads has ended",
            async () => await TextAsync(server, HttpMethod.Get, "svc/count") is var count && count == "1\n"
                ? null : $"{count} calls under way");
        await EndAsync(server);
    }

    [Fact]
    public async Task An_upgraded_connection_belongs_to_caller_and_program()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http");
        using TcpClient socket = new();
        await socket.ConnectAsync(IPAddress.Loopback, server.Port, Soon);
        NetworkStream stream = socket.GetStream();
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes(
                $"GET /v1/functions/svc/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.Token}\r\n"
                + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            Soon);
        using StreamReader reader = new(stream, Encoding.ASCII);
        Assert.Equal("HTTP/1.1 101 Switching Protocols", await reader.ReadLineAsync(Soon));
        while (await reader.ReadLineAsync(Soon) is { Length: > 0 })
        {
        }

        await stream.WriteAsync("ping\n"u8.ToArray(), Soon);
        Assert.Equal("ping", await reader.ReadLineAsync(Soon));
        await stream.WriteAsync("pong\n"u8.ToArray(), Soon);
        Assert.Equal("pong", await reader.ReadLineAsync(Soon));
        socket.Close();
        await EndAsync(server);
    }

    [Fact]
    public async Task What_fails_is_told_and_the_next_call_finds_a_new_instance()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http", "--timeout", "2s");

        (HttpStatusCode status, string detail) = await RefusalAsync(server, "svc/exit/3");
        Assert.Equal(HttpStatusCode.BadGateway, status);
        Assert.Contains("it exited with 3", detail, StringComparison.Ordinal);
        Assert.Contains("asked to exit", detail, StringComparison.Ordinal);
        Assert.Equal("again", await TextAsync(server, HttpMethod.Post, "svc/echo", "again"));

        (status, detail) = await RefusalAsync(server, "svc/slow/20000");
        Assert.Equal(HttpStatusCode.GatewayTimeout, status);
        Assert.Contains("within the call's 2 s", detail, StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<Exception>(() => TextAsync(server, HttpMethod.Get, "svc/torn"));
        Assert.Equal("whole", await TextAsync(server, HttpMethod.Post, "svc/echo", "whole"));
        (await SendAsync(server, HttpMethod.Get, "svc/status/404")).Dispose();
        (await SendAsync(server, HttpMethod.Get, "svc/status/500")).Dispose();
        await Condition.HoldsAsync(
            "of seven calls the program failed four: it exited, was slow, tore its answer and answered 500",
            async () => await FailuresAsync(server) is var (calls, failed) && (calls, failed) == (7, 4)
                ? null : $"{failed} of {calls} failed");
        await EndAsync(server);
    }

    /// <summary>What the calls of the only revision came to.</summary>
    private static async Task<(int Calls, int Failed)> FailuresAsync(ServerProcess server)
    {
        string told = (await server.BerthAsync("function", "revisions", "-o", "json", "svc")).Succeed();
        JsonElement calls = JsonDocument.Parse(told).RootElement.GetProperty("revisions")[0].GetProperty("calls");
        return (calls.GetProperty("calls").GetInt32(), calls.GetProperty("failed").GetInt32());
    }

    [Fact]
    public async Task A_revision_that_does_not_come_up_gets_no_calls()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http");

        ToolResult failing = await server.BerthAsync(
            "function", "deploy", "--contract", "http", "svc", "demo/service", "fail");
        ToolResult deaf = await server.BerthAsync(
            "function", "deploy", "--contract", "http", "--start-timeout", "1s", "svc", "demo/service", "deaf");
        ToolResult unwell = await server.BerthAsync(
            "function", "deploy", "--contract", "http", "--start-timeout", "1s", "--probe", "/status/503", "svc",
            "demo/service");

        Assert.Contains("it exited with 3", failing.Error, StringComparison.Ordinal);
        Assert.Contains("no configuration found", failing.Error, StringComparison.Ordinal);
        Assert.Contains("Nothing listens on port 8080", deaf.Error, StringComparison.Ordinal);
        Assert.Contains("GET /status/503 answered 503", unwell.Error, StringComparison.Ordinal);
        Assert.All([failing, deaf, unwell], result => Assert.NotEqual(0, result.ExitCode));
        Assert.Equal("svc-00001", await TextAsync(server, HttpMethod.Get, "svc/env/K_REVISION"));
        await EndAsync(server);
    }

    [Fact]
    public async Task Instances_go_when_nobody_calls_and_many_calls_at_once_from_nothing_are_all_answered()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(
            server, "svc", "--contract", "http", "--concurrency", "10", "--max-instances", "5", "--idle", "1s",
            "--scale-down-delay", "100ms", "-m", "32m");
        await Condition.HoldsAsync("0 instances stand ready", () => ReadyAsync(server, 0));

        string[] answers = await Task.WhenAll(
            Enumerable.Range(0, 200).Select(i => TextAsync(server, HttpMethod.Post, "svc/echo", $"call {i}")));

        Assert.Equal(Enumerable.Range(0, 200).Select(i => $"call {i}"), answers);
        Assert.InRange(await CountAsync(server), 1, 5);
        (await server.BerthAsync("function", "rm", "svc")).Succeed();
        await EndAsync(server);
    }

    [Fact]
    public async Task After_a_killed_server_the_least_instances_stand_ready_again_and_the_old_ones_are_gone()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http", "--min-instances", "2");
        await Condition.HoldsAsync("2 instances stand ready", () => ReadyAsync(server, 2));

        await server.KillAsync();
        await server.StartAsync();

        await Condition.HoldsAsync("2 instances stand ready", () => ReadyAsync(server, 2));
        Assert.Equal("hello", await TextAsync(server, HttpMethod.Post, "svc/echo", "hello"));
        await EndAsync(server);
    }

    [Fact]
    public async Task A_call_that_nobody_waits_for_outlives_its_instance_and_its_server()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(server, "svc", "--contract", "http", "--attempts", "2", "--retry-max-delay", "200ms");
        string echo = (await server.ShellAsync("printf hello | $BERTH function invoke --async svc")).Succeed();
        Assert.Equal("failed", await StateAsync(server, echo));

        using HttpResponseMessage accepted = await LaterAsync(server, "svc/exit/3");
        string crashed = accepted.Headers.GetValues("Berth-Run-Id").Single();
        Assert.Equal("failed", await StateAsync(server, crashed));
        string why = (await server.BerthAsync("why", crashed)).Succeed();
        Assert.Contains("Attempt 1 of 2 failed (no_answer)", why, StringComparison.Ordinal);
        Assert.Contains("it exited with 3", why, StringComparison.Ordinal);

        using HttpResponseMessage slow = await LaterAsync(server, "svc/slow/1500");
        string killed = slow.Headers.GetValues("Berth-Run-Id").Single();
        await Condition.HoldsAsync(
            "the program has the call",
            async () => (await server.BerthAsync("why", killed)).Text is var told
                && told.Contains("has the call", StringComparison.Ordinal) ? null : "not yet");
        await server.KillAsync();
        await server.StartAsync();

        Assert.Equal("succeeded", await StateAsync(server, killed));
        Assert.Contains(
            "was cut off by the end of the server", (await server.BerthAsync("why", killed)).Succeed(),
            StringComparison.Ordinal);
        await EndAsync(server);
    }

    [Fact]
    public async Task Two_hundred_callers_at_once_of_a_function_that_sleeps_are_all_answered_or_refused()
    {
        await using ServerProcess server = await StartAsync();
        await DeployAsync(
            server, "svc", "--contract", "http", "--concurrency", "4", "--max-instances", "6", "--max-waiting", "150",
            "--timeout", "60s", "--idle", "100ms", "--scale-down-delay", "100ms");
        await Condition.HoldsAsync("nothing runs", async () => await CountAsync(server) == 0 ? null : "an instance");

        (HttpStatusCode Status, bool IsWhole, bool IsTold)[] answers = await Task.WhenAll(
            Enumerable.Range(0, 200).Select(async _ =>
            {
                using HttpResponseMessage answer = await SendAsync(server, HttpMethod.Post, "svc/slow/50");
                string text = await answer.Content.ReadAsStringAsync(Soon);
                bool waited = answer.Headers.TryGetValues("Berth-Queue-Ms", out IEnumerable<string>? told)
                    && double.Parse(told.Single(), CultureInfo.InvariantCulture) > 0;
                return answer.IsSuccessStatusCode
                    ? (answer.StatusCode, text == "slow\n", waited)
                    : (answer.StatusCode, text.Contains("max-waiting", StringComparison.Ordinal),
                        answer.Headers.RetryAfter is not null);
            }));

        // Those for whom the line had room were served, however long no instance was there.
        Assert.All(answers, a => Assert.True(
            a is (HttpStatusCode.OK or HttpStatusCode.TooManyRequests, true, _), $"{a}"));
        Assert.InRange(answers.Count(a => a.Status == HttpStatusCode.OK), 150, 200);
        Assert.All(answers.Where(a => a.Status != HttpStatusCode.OK), a => Assert.True(a.IsTold, "no Retry-After"));
        Assert.Contains(answers, a => a is { Status: HttpStatusCode.OK, IsTold: true });
        await EndAsync(server);
    }

    private static async Task<HttpResponseMessage> LaterAsync(ServerProcess server, string path)
    {
        using HttpRequestMessage request = RequestTo(
            server, HttpMethod.Get, $"{server.Address}/v1/functions/{path}");
        request.Headers.Add("Prefer", "respond-async");
        HttpResponseMessage accepted = await server.Http.SendAsync(request, Soon);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        return accepted;
    }

    /// <summary>Of a task, once it has ended.</summary>
    private static async Task<string> StateAsync(ServerProcess server, string id)
    {
        using HttpRequestMessage request = RequestTo(server, HttpMethod.Get, $"{server.Address}/v1/runs/{id}?wait=60s");
        using HttpResponseMessage told = await server.Http.SendAsync(request, Soon);
        using JsonDocument run = JsonDocument.Parse(await told.Content.ReadAsStringAsync(Soon));
        return run.RootElement.GetProperty("state").GetString()!;
    }

    internal static async Task<ServerProcess> StartAsync(params string[] flags)
    {
        ServerProcess server = new();
        try
        {
            await server.StartAsync(flags);
            await PackAsync(server);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Puts the image <c>demo/service</c> into a server.</summary>
    internal static async Task PackAsync(ServerProcess server)
    {
        string root = Path.Combine(server.Folder, "service");
        Directory.CreateDirectory(root + "/bin");
        StaticProgram.Compile(
            Path.Combine(RepositoryFolder.Path, "tests/Berth.Testing/Programs/service.c"), root + "/bin/service");
        (await server.BerthAsync(
            "image", "pack", "-q", "--entrypoint", "/bin/service", "demo/service", root)).Succeed();
    }

    private static async Task DeployAsync(ServerProcess server, string name, params string[] options) =>
        (await server.BerthAsync(["function", "deploy", .. options, name, "demo/service"])).Succeed();

    /// <summary>Stopped in good order it leaves nothing.</summary>
    private static async Task EndAsync(ServerProcess server)
    {
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static async Task<string?> ReadyAsync(ServerProcess server, int wanted)
    {
        int ready = await CountAsync(server);
        return ready == wanted ? null : $"{ready} instances";
    }

    private static async Task<int> CountAsync(ServerProcess server)
    {
        using JsonDocument view = JsonDocument.Parse(
            (await server.BerthAsync("function", "get", "svc")).Succeed());
        return view.RootElement.GetProperty("instances").GetArrayLength();
    }

    private static HttpRequestMessage RequestTo(ServerProcess server, HttpMethod method, string address) =>
        new(method, new Uri(address))
        {
            Headers = { Authorization = new AuthenticationHeaderValue("Bearer", server.Token) },
        };

    private static async Task<HttpResponseMessage> SendAsync(
        ServerProcess server, HttpMethod method, string path, string? body = null)
    {
        using HttpRequestMessage request = RequestTo(server, method, $"{server.Address}/v1/functions/{path}");
        request.Content = body is null ? null : new StringContent(body);
        return await server.Http.SendAsync(request, Soon);
    }

    private static async Task<string> TextAsync(
        ServerProcess server, HttpMethod method, string path, string? body = null)
    {
        using HttpResponseMessage response = await SendAsync(server, method, path, body);
        string text = await response.Content.ReadAsStringAsync(Soon);
        Assert.True(response.IsSuccessStatusCode, $"{response.StatusCode}: {text}");
        return text;
    }

    private static async Task<(HttpStatusCode Status, string Detail)> RefusalAsync(ServerProcess server, string path)
    {
        using HttpResponseMessage response = await SendAsync(server, HttpMethod.Get, path);
        using JsonDocument problem = JsonDocument.Parse(await response.Content.ReadAsStringAsync(Soon));
        return (response.StatusCode, problem.RootElement.GetProperty("detail").GetString()!);
    }
}
