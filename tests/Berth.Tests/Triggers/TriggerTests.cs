using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Api.Triggers;
using Berth.Core.Errors;
using Berth.Core.Triggers;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Functions;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Triggers;

/// <summary>Triggers over HTTP, with a node in memory.</summary>
public sealed class TriggerTests : IAsyncLifetime
{
    private static readonly byte[] Secret = "a shared secret"u8.ToArray();

    private readonly TemporaryFolder folder = new();
    private ServerRig rig = null!;
    private BerthClient client = null!;

    public async ValueTask InitializeAsync()
    {
        rig = await ServerRig.StartAsync(folder: folder);
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
        await client.Functions.DeployAsync("f", new FunctionRequest(ServerRig.Image, ["cat"]), CancellationToken.None);
        await client.Functions.DeployAsync(
            "env", new FunctionRequest(ServerRig.Image, ["env"]), CancellationToken.None);
        await client.Secrets.PutAsync("key", Secret, replace: false, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task A_clock_fires_once_for_each_time_also_across_a_restart_and_pauses()
    {
        ManualTime time = new();
        using TemporaryFolder own = new();
        string run;
        await using (ServerRig first = await ServerRig.StartAsync(folder: own, time: time))
        {
            using BerthClient caller = new(first.Address, first.AdminToken, TimeProvider.System);
            await caller.Functions.DeployAsync(
                "f", new FunctionRequest(ServerRig.Image, ["cat"]), CancellationToken.None);
            TriggerView made = await caller.Triggers.PutAsync(
                "tick", new TriggerRequest("f", Cron: "*/5 * * * *"), CancellationToken.None);
            Assert.Equal(time.GetUtcNow().AddMinutes(5), made.Next![0]);
            time.Advance(TimeSpan.FromMinutes(5));
            run = await FiredAsync(first, "tick", 1);
            RunView ended = await Eventually.RunAsync(first, run, r => r.EndedAt is not null);
            Assert.Equal(("succeeded", "tick"), (ended.State, ended.Labels["trigger"]));
            Assert.Equal(
                """{"trigger":"tick","scheduledAt":"2026-01-02T12:05:00Z"}""",
                await first.Client.GetStringAsync($"/v1/runs/{run}/result"));
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: own, time: time);
        time.Advance(TimeSpan.FromMinutes(5));
        string other = await FiredAsync(second, "tick", 2);
        using BerthClient again = new(second.Address, second.AdminToken, TimeProvider.System);
        await again.Triggers.PauseAsync("tick", CancellationToken.None);
        time.Advance(TimeSpan.FromMinutes(11));
        await again.Triggers.ResumeAsync("tick", CancellationToken.None);
        time.Advance(TimeSpan.FromMinutes(4));
        await FiredAsync(second, "tick", 3);
        TriggerView view = await again.Triggers.GetAsync("tick", CancellationToken.None);

        Assert.NotEqual(run, other);
        Assert.Equal(
            ["2026-01-02T12:25:00Z", "2026-01-02T12:10:00Z", "2026-01-02T12:05:00Z"], view.Firings!.Select(f => f.Key));
    }

    [Fact]
    public async Task What_passed_while_no_server_ran_is_told_or_made_up_for_once()
    {
        ManualTime time = new();
        using TemporaryFolder own = new();
        await using (ServerRig first = await ServerRig.StartAsync(folder: own, time: time))
        {
            using BerthClient caller = new(first.Address, first.AdminToken, TimeProvider.System);
            await caller.Functions.DeployAsync(
                "f", new FunctionRequest(ServerRig.Image, ["cat"]), CancellationToken.None);
            await caller.Triggers.PutAsync(
                "skip", new TriggerRequest("f", Cron: "0 * * * *"), CancellationToken.None);
            await caller.Triggers.PutAsync(
                "once", new TriggerRequest("f", Cron: "0 * * * *", Missed: "once", CatchUp: "2h"),
                CancellationToken.None);
        }

        time.Advance(TimeSpan.FromHours(5.5));
        await using ServerRig second = await ServerRig.StartAsync(folder: own, time: time);
        FiringView skipped = await FiringAsync(second, "skip");
        FiringView made = await FiringAsync(second, "once");

        Assert.Equal(("missed", "2026-01-02T17:00:00Z", null), (skipped.Outcome, skipped.Key, skipped.Run));
        Assert.Equal(("fired", "2026-01-02T17:00:00Z"), (made.Outcome, made.Key));
        Assert.NotNull(made.Run);
    }

    [Theory]
    [InlineData("forbid", "skipped", "running")]
    [InlineData("replace", "fired", "canceled")]
    [InlineData("allow", "fired", "running")]
    public async Task While_the_run_before_goes_on_it_is_as_asked(string concurrency, string outcome, string before)
    {
        ManualTime time = new();
        await using ServerRig own = await ServerRig.StartAsync(time: time);
        using BerthClient caller = new(own.Address, own.AdminToken, TimeProvider.System);
        await caller.Functions.DeployAsync(
            "slow", new FunctionRequest(ServerRig.Image, ["sleep", "100000"], Timeout: "10m"), CancellationToken.None);
        await caller.Triggers.PutAsync(
            "tick", new TriggerRequest("slow", Cron: "* * * * *", Concurrency: concurrency), CancellationToken.None);
        time.Advance(TimeSpan.FromMinutes(1));
        string first = await FiredAsync(own, "tick", 1);
        await Eventually.RunAsync(own, first, r => r.State == "running");

        time.Advance(TimeSpan.FromMinutes(1));
        FiringView second = (await FiringsAsync(own, "tick", 2))[0];
        RunView state = await Eventually.RunAsync(own, first, r => r.State == before);

        Assert.Equal(outcome, second.Outcome);
        Assert.Equal(before, state.State);
        Assert.Equal(outcome == "skipped", second.Detail?.Contains(first, StringComparison.Ordinal) == true);
    }

    [Fact]
    public async Task A_webhook_takes_what_is_signed_and_tells_strangers_nothing()
    {
        await client.Triggers.PutAsync(
            "push", new TriggerRequest("env", Webhook: "github", Secret: "key"), CancellationToken.None);
        await client.Triggers.PutAsync(
            "stamped", new TriggerRequest("env", Webhook: "timestamped", Secret: "key"), CancellationToken.None);
        await client.Triggers.PutAsync(
            "paused", new TriggerRequest("env", Webhook: "github", Secret: "key", Paused: true),
            CancellationToken.None);
        string right = WebhookSignature.Make(WebhookStyle.GitHub, Secret, "{}"u8, DateTimeOffset.UnixEpoch);
        string old = WebhookSignature.Make(
            WebhookStyle.Timestamped, Secret, "{}"u8, TimeProvider.System.GetUtcNow().AddMinutes(-6));
        (string Name, string Header, string? Value)[] wrong =
        [
            ("push", "X-Hub-Signature-256", null), ("push", "X-Hub-Signature-256", "sha256=" + new string('0', 64)),
            ("push", "X-Hub-Signature-256", right[..^2]), ("nothing", "X-Hub-Signature-256", right),
            ("paused", "X-Hub-Signature-256", right), ("stamped", "Stripe-Signature", old),
            ("stamped", "X-Hub-Signature-256", right), ("UPPER", "X-Hub-Signature-256", right),
        ];
        HashSet<string> answers = [];
        foreach ((string name, string header, string? value) in wrong)
        {
            using HttpResponseMessage refused = await HookAsync(name, "{}", (header, value));
            Assert.Equal(HttpStatusCode.Unauthorized, refused.StatusCode);
            answers.Add(await refused.Content.ReadAsStringAsync());
        }

        using HttpResponseMessage taken = await HookAsync(
            "push", "{}", ("X-Hub-Signature-256", right), ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d-1"),
            ("Authorization", "Bearer forged"));
        using HttpResponseMessage repeated = await HookAsync(
            "push", "{}", ("X-Hub-Signature-256", right), ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d-1"));
        FiringView fired = await FiringOfAsync(taken);
        string told = await ResultAsync(fired.Run!);

        Assert.Single(answers);
        Assert.Equal(HttpStatusCode.Accepted, taken.StatusCode);
        Assert.Equal(fired.Run, (await FiringOfAsync(repeated)).Run);
        Assert.Superset(
            new HashSet<string>
            {
                "HTTP_X_GITHUB_EVENT=push", "BERTH_TRIGGER=push", "REQUEST_METHOD=POST", "CONTENT_LENGTH=2",
                "HTTP_CE_TYPE=dev.berth.webhook", "HTTP_CE_SOURCE=/v1/triggers/push", "BERTH_FUNCTION=env",
            },
            told.Split('\n').ToHashSet());
        Assert.DoesNotContain("forged", told, StringComparison.Ordinal);
        Assert.Equal(
            "push", Assert.Single(await FiringsAsync(rig, "push", 1)) is { Run: not null } ? "push" : "none");
        BerthException used = await Assert.ThrowsAsync<BerthException>(
            () => client.Secrets.RemoveAsync("key", force: false, CancellationToken.None));
        Assert.Contains("trigger paused", used.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Strangers_who_hold_on_keep_nobody_else_out_for_long_and_large_bodies_are_refused()
    {
        await client.Triggers.PutAsync(
            "push", new TriggerRequest("f", Webhook: "plain", Secret: "key", Header: "X-My-Mac"),
            CancellationToken.None);
        List<TcpClient> slow = [];
        try
        {
            for (int i = 0; i < 40; i++)
            {
                TcpClient one = new();
                await one.ConnectAsync(IPAddress.Loopback, rig.Address.Port);
                await one.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
                    "POST /v1/hooks/push HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"));
                slow.Add(one);
            }

            using HttpResponseMessage full = await Condition(async () =>
            {
                HttpResponseMessage answer = await HookAsync("push", "{}");
                return (answer.StatusCode == HttpStatusCode.TooManyRequests, answer);
            });
            Assert.NotNull(full.Headers.RetryAfter);
        }
        finally
        {
            slow.ForEach(s => s.Dispose());
        }

        string right = WebhookSignature.Make(WebhookStyle.Plain, Secret, "{}"u8, DateTimeOffset.UnixEpoch);
        using HttpResponseMessage room = await Condition(async () =>
        {
            HttpResponseMessage answer = await HookAsync("push", "{}", ("X-My-Mac", right));
            return (answer.StatusCode == HttpStatusCode.Accepted, answer);
        });
        using HttpResponseMessage large = await HookAsync("push", new string('x', (1024 * 1024) + 1));

        Assert.Equal(HttpStatusCode.Accepted, room.StatusCode);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, large.StatusCode);
    }

    [Fact]
    public async Task Events_are_taken_in_each_mode_filtered_and_the_same_one_once()
    {
        await client.Triggers.PutAsync(
            "orders", new TriggerRequest("env", Events: true, Types: ["com.example.*"]), CancellationToken.None);
        const string Structured =
            """{"specversion":"1.0","id":"1","source":"/shop","type":"com.example.made","subject":"ä","data":[1]}""";

        EventList binary = await SendAsync(
            "[1]", "application/json", ("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop"),
            ("ce-type", "com.example.made"), ("ce-subject", "%C3%A4"), ("X-Own", "kept"));
        EventList structured = await SendAsync(Structured, "application/cloudevents+json");
        EventList batch = await SendAsync(
            $"[{Structured},{Structured.Replace("\"1\"", "\"2\"", StringComparison.Ordinal)},"
            + $"{Structured.Replace("com.", "org.", StringComparison.Ordinal)}]",
            "application/cloudevents-batch+json; charset=utf-8");
        string[] told = (await ResultAsync(binary.Events[0].Run!)).Split('\n');

        Assert.Equal(binary.Events[0].Run, structured.Events[0].Run);
        Assert.Equal(
            [(true, true), (true, false), (false, false)],
            batch.Events.Select(e => (e.Taken, e.Run == binary.Events[0].Run)));
        Assert.Superset(
            new HashSet<string>
            {
                "HTTP_CE_ID=1", "HTTP_CE_SOURCE=/shop", "HTTP_CE_TYPE=com.example.made", "HTTP_CE_SUBJECT=ä",
                "HTTP_CE_SPECVERSION=1.0", "CONTENT_TYPE=application/json", "HTTP_X_OWN=kept", "CONTENT_LENGTH=3",
            },
            told.ToHashSet());
        using HttpResponseMessage none = await rig.Client.PostAsync("/v1/events/orders", new StringContent("{}"));
        Assert.Equal(HttpStatusCode.BadRequest, none.StatusCode);
        Assert.Contains("ce-specversion", await none.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using HttpResponseMessage avro = await rig.Client.PostAsync(
            "/v1/events/orders", new StringContent("{}", new MediaTypeHeaderValue("application/cloudevents+avro")));
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, avro.StatusCode);
    }

    [Fact]
    public async Task A_program_that_serves_http_gets_an_event_in_binary_mode()
    {
        await using PlayedService service = new((_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "ok")));
        await client.Functions.DeployAsync(
            "svc", new FunctionRequest(ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port),
            CancellationToken.None);
        await client.Triggers.PutAsync(
            "hook", new TriggerRequest("svc", Webhook: "github", Secret: "key", Events: true), CancellationToken.None);
        const string Body = """{"specversion":"1.0","id":"a b","source":"/s","type":"t","data":[1]}""";
        string right = WebhookSignature.Make(
            WebhookStyle.GitHub, Secret, Encoding.UTF8.GetBytes(Body), DateTimeOffset.UnixEpoch);
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/hooks/hook")
        {
            Content = new StringContent(Body, new MediaTypeHeaderValue("application/cloudevents+json")),
        };
        request.Headers.Add("X-Hub-Signature-256", right);
        request.Headers.Add("ce-id", "forged");
        using HttpClient stranger = rig.ClientWith(null);

        using HttpResponseMessage taken = await stranger.SendAsync(request);
        EventList list = (await taken.Content.ReadFromJsonAsync(TriggerJson.Default.EventList))!;
        RunView run = await Eventually.EndAsync(rig, list.Events[0].Run!);

        PlayedRequest got = service.Requests[^1];
        Assert.Equal("succeeded", run.State);
        Assert.Equal(("POST / HTTP/1.1", "[1]"), (got.Line, got.Body));
        Assert.Equal(
            ("a%20b", "/s", "t", "application/json", "hook", "3"),
            (got.Headers["ce-id"], got.Headers["ce-source"], got.Headers["ce-type"], got.Headers["Content-Type"],
                got.Headers["Berth-Trigger"], got.Headers["Content-Length"]));
    }

    [Fact]
    public async Task A_trigger_that_can_not_be_is_refused_by_name_and_remedy()
    {
        (TriggerRequest Request, string Says)[] wrong =
        [
            (new("f"), "one of cron, webhook, events and volume"),
            (new("f", Cron: "@hourly", Events: true), "clock and events"),
            (new("nothing", Cron: "@hourly"), "berth function deploy"), (new(Cron: "@hourly"), "function is missing"),
            (new("f", Cron: "61 * * * *"), "MINUTE HOUR"), (new("f", Cron: "0 0 30 2 *"), "no day of the calendar"),
            (new("f", Cron: "@hourly", Zone: "Mars/Phobos"), "tzdata"),
            (new("f", Cron: "@hourly", Zone: "../../etc/passwd"), "tzdata"),
            (new("f", Cron: "@hourly", Concurrency: "some"), "allow, forbid or replace"),
            (new("f", Cron: "@hourly", CatchUp: "1h"), "missed = once"),
            (new("f", Cron: "@hourly", Secret: "key"), "secret can't be given"),
            (new("f", Webhook: "github"), "secret is missing"),
            (new("f", Webhook: "github", Secret: "none"), "berth secret create none"),
            (new("f", Webhook: "other", Secret: "key"), "github, timestamped or plain"),
            (new("f", Webhook: "plain", Secret: "key", Header: "X Y"), "name of a header"),
            (new("f", Webhook: "github", Secret: "key", Window: "1m"), "timestamped"),
            (new("f", Events: true, Types: ["a*b"]), "at the end alone"),
        ];
        foreach ((TriggerRequest request, string says) in wrong)
        {
            BerthException refusal = await Assert.ThrowsAsync<BerthException>(
                () => client.Triggers.PutAsync("t", request, CancellationToken.None));
            Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
            Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        }

        Assert.Empty(await client.Triggers.ListAsync(CancellationToken.None));
        Assert.Equal(
            ErrorCode.NotFound,
            (await Assert.ThrowsAsync<BerthException>(
                () => client.Triggers.FireAsync("t", CancellationToken.None))).Code);
    }

    [Fact]
    public async Task It_is_told_as_it_was_given_fires_by_hand_and_goes_with_all_that_is_remembered()
    {
        TriggerRequest request = new(
            "f", Cron: "0 3 * * mon", Zone: "Europe/Berlin", Concurrency: "forbid", Missed: "once", CatchUp: "1h",
            Body: "go", ContentType: "text/x-own");
        await client.Triggers.PutAsync("weekly", request, CancellationToken.None);

        TriggerView view = await client.Triggers.GetAsync("weekly", CancellationToken.None);
        FiringView fired = await client.Triggers.FireAsync("weekly", CancellationToken.None);
        await client.Functions.RemoveAsync("f", CancellationToken.None);
        BerthException gone = await Assert.ThrowsAsync<BerthException>(
            () => client.Triggers.FireAsync("weekly", CancellationToken.None));
        IReadOnlyList<FiringView> firings = await FiringsAsync(rig, "weekly", 2);
        await client.Triggers.RemoveAsync("weekly", CancellationToken.None);
        await client.Triggers.PutAsync("weekly", request with { Function = "env" }, CancellationToken.None);

        Assert.Equal(request.ToString(), view.Spec.ToString());
        Assert.All(view.Next!, n => Assert.Equal((DayOfWeek.Monday, 3), (n.DayOfWeek, n.Hour)));
        Assert.Equal("go", await ResultAsync(fired.Run!));
        Assert.Contains("There is no function 'f'", gone.Message, StringComparison.Ordinal);
        Assert.Equal(["failed", "fired"], firings.Select(f => f.Outcome));
        Assert.Empty((await client.Triggers.GetAsync("weekly", CancellationToken.None)).Firings!);
    }

    [Fact]
    public void Numbers_on_disk_mean_what_they_meant()
    {
        Assert.Equal(
            [(0, "Fired"), (1, "Skipped"), (2, "Missed"), (3, "Failed")],
            Enum.GetValues<FiringOutcome>().Select(o => ((int)o, o.ToString())));
    }

    private static async Task<HttpResponseMessage> Condition(Func<Task<(bool Holds, HttpResponseMessage Answer)>> look)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (true)
        {
            (bool holds, HttpResponseMessage answer) = await look();
            if (holds)
            {
                return answer;
            }

            Assert.False(limit.IsCancellationRequested, $"It never came about; last seen: {answer.StatusCode}.");
            answer.Dispose();
        }
    }

    private async Task<HttpResponseMessage> HookAsync(
        string name, string body, params (string Name, string? Value)[] headers)
    {
        using HttpClient stranger = rig.ClientWith(null);
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/hooks/" + name)
        {
            Content = new StringContent(body, new MediaTypeHeaderValue("application/json")),
        };
        foreach ((string header, string? value) in headers)
        {
            if (value is not null)
            {
                request.Headers.TryAddWithoutValidation(header, value);
            }
        }

        return await stranger.SendAsync(request);
    }

    private async Task<EventList> SendAsync(string body, string type, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/events/orders")
        {
            Content = new StringContent(body, MediaTypeHeaderValue.Parse(type)),
        };
        foreach ((string header, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(header, value);
        }

        using HttpResponseMessage answer = await rig.Client.SendAsync(request);
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.Accepted, text);
        return JsonSerializer.Deserialize(text, TriggerJson.Default.EventList)!;
    }

    private static async Task<FiringView> FiringOfAsync(HttpResponseMessage answer) =>
        (await answer.Content.ReadFromJsonAsync(TriggerJson.Default.FiringView))!;

    private async Task<string> ResultAsync(string run)
    {
        await Eventually.EndAsync(rig, run);
        return await rig.Client.GetStringAsync($"/v1/runs/{run}/result");
    }

    private static async Task<string> FiredAsync(ServerRig rig, string name, int count) =>
        (await FiringsAsync(rig, name, count))[0].Run!;

    private static async Task<FiringView> FiringAsync(ServerRig rig, string name) =>
        Assert.Single(await FiringsAsync(rig, name, 1));

    /// <summary>Newest first, once there are so many.</summary>
    private static async Task<IReadOnlyList<FiringView>> FiringsAsync(ServerRig rig, string name, int count)
    {
        IReadOnlyList<FiringView> firings = [];
        await Eventually.HoldsAsync($"trigger {name} has fired {count} times", () =>
        {
            using HttpResponseMessage answer = rig.Client.Send(new HttpRequestMessage(
                HttpMethod.Get, "/v1/triggers/" + name));
            firings = JsonSerializer.Deserialize(
                answer.Content.ReadAsStream(), TriggerJson.Default.TriggerView)!.Firings!;
            return firings.Count >= count;
        });
        return firings;
    }
}
