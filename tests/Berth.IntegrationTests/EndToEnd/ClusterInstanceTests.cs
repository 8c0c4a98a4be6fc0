using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Instances of functions on other machines, which are network namespaces here: what passes over the link, and
/// what becomes of calls when something happens to the machine.</summary>
[Collection("containers")]
public sealed class ClusterInstanceTests : ClusterTest
{
    private MachineProcess worker = null!;

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        worker = await JoinAsync("worker-1");
    }

    [Fact]
    public async Task Requests_bodies_events_and_upgrades_pass_over_the_link()
    {
        await DeployAsync("--constraint", "node=worker-1", "-e", "GREETING=good day");
        Assert.Equal("good day", await TextAsync("svc/env/GREETING"));
        Assert.Equal("worker-1", await NodeOfInstanceAsync());

        // More than all windows and buffers, answered while it is sent: known length and chunked.
        long before = PeakOf(Server.Pid) + PeakOf(worker.Pid);
        string script = "head -c 300000000 /dev/zero > big; "
            + "for how in '--data-binary @big' '-T big -H Transfer-Encoding:chunked -X POST'; do "
            + "curl -sS -m 120 $how -H \"Authorization: Bearer $BERTH_TOKEN\" $BERTH_HOST/v1/functions/svc/echo "
            + "| wc -c; "
            + "done";
        string counts = (await Server.ShellAsync($"cd {Server.Folder}; {script}")).Succeed();
        Assert.Equal(["300000000", "300000000"], counts.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.InRange(PeakOf(Server.Pid) + PeakOf(worker.Pid) - before, 0, 200_000_000);

        using HttpResponseMessage response = await Server.Http.GetAsync(
            "/v1/functions/svc/events/100", HttpCompletionOption.ResponseHeadersRead, Soon);
        using StreamReader events = new(await response.Content.ReadAsStreamAsync(Soon));
        Assert.Equal("data: event 1", await events.ReadLineAsync(Soon));
        response.Dispose();
        await Condition.HoldsAsync(
            "the event stream that nobody reads has ended",
            async () => await TextAsync("svc/count") is var count && count == "1\n"
                ? null : $"{count} calls under way");

        await UpgradeAsync();
    }

    [Fact]
    public async Task Secrets_get_there_and_what_an_instance_says_comes_back()
    {
        (await Server.BerthAsync(Encoding.UTF8.GetBytes("hunter2"), "secret", "create", "word")).Succeed();
        await DeployAsync("--constraint", "node=worker-1", "--secret", "word:env=WORD", "--secret", "word");

        Assert.Equal("hunter2", await TextAsync("svc/env/WORD"));
        using HttpResponseMessage crashed = await Server.Http.GetAsync("/v1/functions/svc/exit/3", Soon);
        string told = await crashed.Content.ReadAsStringAsync(Soon);

        Assert.Equal(HttpStatusCode.BadGateway, crashed.StatusCode);
        Assert.Contains("it exited with 3", told, StringComparison.Ordinal);
        Assert.Contains("asked to exit", told, StringComparison.Ordinal);
        Assert.Contains(
            "asked to exit", (await Server.BerthAsync("function", "logs", "svc")).Succeed(), StringComparison.Ordinal);
        Assert.Equal("hunter2", await TextAsync("svc/env/WORD"));
        Assert.DoesNotContain("hunter2", worker.Log + Server.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_killed_node_ends_its_calls_with_a_word_and_the_next_goes_elsewhere()
    {
        await DeployAsync("--constraint", "node in (worker-1,worker-2)");
        Task<HttpResponseMessage> calling = Server.Http.GetAsync("/v1/functions/svc/slow/600000", Soon);
        await Condition.HoldsAsync(
            "the program has the call", async () => await TextAsync("svc/count") is "2\n" ? null : "not yet");
        await JoinAsync("worker-2");

        await worker.KillAsync();
        using HttpResponseMessage lost = await calling;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, lost.StatusCode);
        Assert.NotNull(lost.Headers.RetryAfter);
        Assert.Contains("'worker-1' was lost", await lost.Content.ReadAsStringAsync(Soon), StringComparison.Ordinal);
        Assert.Equal("good", await TextAsync("svc/echo", "good"));
        Assert.Equal("worker-2", await NodeOfInstanceAsync());
        // It finds what its killed process left behind.
        worker.Join(NodeAddress);
        await UntilAsync(worker, n => n.State == "ready");
    }

    [Fact]
    public async Task A_drained_node_hands_its_instances_on_and_ends_no_call()
    {
        await DeployAsync("--constraint", "node in (worker-1,worker-2)", "--min-instances", "1");
        await JoinAsync("worker-2");
        Task<string> calling = TextAsync("svc/slow/3000");
        await Condition.HoldsAsync(
            "the program has the call", async () => await TextAsync("svc/count") is "2\n" ? null : "not yet");

        (await Server.BerthAsync("node", "drain", "worker-1")).Succeed();

        Assert.Equal("slow\n", await calling);
        Assert.Equal("good", await TextAsync("svc/echo", "good"));
        Assert.Equal("worker-2", await NodeOfInstanceAsync());
        Assert.Equal(0, (await UntilAsync(worker, _ => true)).Running);
    }

    [Fact]
    public async Task A_node_that_starts_again_has_its_images_and_instances_come_there_without_a_fetch()
    {
        await DeployAsync("--constraint", "node=worker-1");
        Assert.Equal("good", await TextAsync("svc/echo", "good"));
        MachineView before = await UntilAsync(worker, n => n.Load is { Images.Count: 1 });
        await worker.StopAsync();
        await UntilAsync(worker, n => n.State == "lost");

        worker.Join(NodeAddress);
        MachineView after = await UntilAsync(worker, n => n is { State: "ready", Load: not null });

        Assert.Equal(before.Load!.Images, after.Load!.Images);
        Assert.Contains(
            after.Load.Images[0], (await Server.BerthAsync("node", "inspect", "worker-1")).Succeed(),
            StringComparison.Ordinal);
        // A start that was tried while the node was away may still have its word.
        await Condition.HoldsAsync("a call is answered", async () =>
        {
            using HttpResponseMessage answer = await Server.Http.GetAsync("/v1/functions/svc/count", Soon);
            return answer.IsSuccessStatusCode ? null : await answer.Content.ReadAsStringAsync(Soon) + worker.Log;
        });
        Assert.Equal("worker-1", await NodeOfInstanceAsync());
        after = await UntilAsync(worker, n => n.SeenAt > after.SeenAt && n.Running > 0);
        Assert.Equal(0, after.Load!.FetchedFromServersBytes);
    }

    [Fact]
    public async Task Where_no_node_may_have_one_callers_are_told_so_until_there_is_one()
    {
        await DeployAsync("--constraint", "zone=cellar");

        using HttpResponseMessage refused = await Server.Http.GetAsync("/v1/functions/svc/head", Soon);
        string why = (await Server.BerthAsync("function", "why", "svc")).Succeed();
        (await Server.BerthAsync("node", "label", "worker-1", "zone=cellar")).Succeed();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Contains("no_node", await refused.Content.ReadAsStringAsync(Soon), StringComparison.Ordinal);
        Assert.Contains("refused by constraint zone=cellar 2", why, StringComparison.Ordinal);
        Assert.Equal("good", await TextAsync("svc/echo", "good"));
        Assert.Equal("worker-1", await NodeOfInstanceAsync());
    }

    [Fact]
    public async Task A_lambda_image_runs_there_unchanged()
    {
        await LambdaFunctionTests.PackAsync(Server);
        (await Server.BerthAsync(
            "function", "deploy", "-m", "64m", "--timeout", "1s", "--constraint", "node=worker-1", "svc", "demo/fn"))
            .Succeed();

        Assert.Equal("[7]", await TextAsync("svc", "[7]"));
        using HttpResponseMessage late = await Server.Http.PostAsync(
            "/v1/functions/svc", new StringContent("\"slow\""), Soon);
        Assert.Contains("timed out", await late.Content.ReadAsStringAsync(Soon), StringComparison.Ordinal);
        Assert.Equal("[8]", await TextAsync("svc", "[8]"));
        Assert.Equal("worker-1", await NodeOfInstanceAsync());
    }

    /// <summary>The most memory that a process has had, in bytes.</summary>
    protected override async Task StartServerAsync()
    {
        await Server.StartAsync(Flags);
        await ServiceFunctionTests.PackAsync(Server);
    }

    private static long PeakOf(int process) => File.ReadLines($"/proc/{process}/status")
        .Where(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))
        .Select(line => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
            System.Globalization.CultureInfo.InvariantCulture) * 1024)
        .Single();

    private async Task UpgradeAsync()
    {
        using TcpClient socket = new();
        await socket.ConnectAsync(IPAddress.Loopback, Server.Port, Soon);
        NetworkStream stream = socket.GetStream();
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes(
                $"GET /v1/functions/svc/chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {Server.Token}\r\n"
                + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            Soon);
        using StreamReader reader = new(stream, Encoding.ASCII);
        Assert.Equal("HTTP/1.1 101 Switching Protocols", await reader.ReadLineAsync(Soon));
        while (await reader.ReadLineAsync(Soon) is { Length: > 0 })
        {
        }

        foreach (string word in (string[])["ping", "pong"])
        {
            await stream.WriteAsync(Encoding.ASCII.GetBytes(word + "\n"), Soon);
            Assert.Equal(word, await reader.ReadLineAsync(Soon));
        }

        socket.Close();
        await Condition.HoldsAsync(
            "the upgraded connection has ended", async () => await TextAsync("svc/count") is "1\n" ? null : "not yet");
    }

    private async Task DeployAsync(params string[] options) =>
        (await Server.BerthAsync(["function", "deploy", "--contract", "http", .. options, "svc", "demo/service"]))
        .Succeed();

    private async Task<string> TextAsync(string path, string? body = null)
    {
        using HttpRequestMessage request = new(
            body is null ? HttpMethod.Get : HttpMethod.Post, $"/v1/functions/{path}")
        {
            Content = body is null ? null : new StringContent(body),
        };
        using HttpResponseMessage answer = await Server.Http.SendAsync(request, Soon);
        string text = await answer.Content.ReadAsStringAsync(Soon);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {text}");
        return text;
    }

    private async Task<string?> NodeOfInstanceAsync()
    {
        JsonElement function = await Server.Http.GetFromJsonAsync<JsonElement>("/v1/functions/svc", Soon);
        return function.GetProperty("instances").EnumerateArray()
            .Single(i => !i.GetProperty("draining").GetBoolean()).GetProperty("node").GetString();
    }
}
