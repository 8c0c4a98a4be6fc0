using System.Text.Json;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Server-sent events of one run and of all.</summary>
public sealed class EventTests
{
    [Fact]
    public async Task A_runs_events_come_in_order_and_end_with_it()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        RunView run = await rig.SubmitAsync(["sh", "-c", "progress 10; sleep 600"]);
        using EventReader events = await EventReader.OpenAsync(rig, $"/v1/runs/{run.Id}/events");

        await events.ReadUntilAsync("progress");
        using HttpResponseMessage cancelled = await rig.Client.PostAsync($"/v1/runs/{run.Id}/cancel", null);
        await events.ReadToEndAsync();

        Assert.Equal(
            ["accepted", "claimed", "started", "progress", "cancel_requested", "ended"],
            events.Seen.Select(e => e.Type));
        Assert.Equal(Enumerable.Range(1, 6).Select(n => (long)n), events.Seen.Select(e => e.Sequence));
        Assert.Equal(["1", "2", "3", "4", "5", "6"], events.Ids);
        Assert.All(events.Seen, e => Assert.Equal(run.Id, e.Run));
        await Eventually.HoldsAsync("nobody listens", () => rig.Server.Rooms.Runs.Events.Listeners == 0);
    }

    [Theory]
    [InlineData("0", "accepted claimed started ended")]
    [InlineData("2", "started ended")]
    [InlineData("3", "ended")]
    [InlineData("4", "")]
    [InlineData("99", "")]
    public async Task Who_comes_back_gets_what_was_missed(string last, string expected)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        RunView run = await rig.FinishAsync(["true"]);

        using EventReader events = await EventReader.OpenAsync(
            rig, $"/v1/runs/{run.Id}/events", ("Last-Event-ID", last));
        await events.ReadToEndAsync();

        Assert.Equal(expected, string.Join(' ', events.Seen.Select(e => e.Type)));
    }

    [Theory]
    [InlineData("x")]
    [InlineData("-1")]
    [InlineData("1.5")]
    public async Task An_event_id_that_is_none_is_refused(string last)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        RunView run = await rig.FinishAsync(["true"]);

        using HttpResponseMessage response = await rig.GetAsync($"/v1/runs/{run.Id}/events", ("Last-Event-ID", last));

        Problem problem = await response.ProblemAsync(400, "invalid_request");
        Assert.Contains("Last-Event-ID", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Events_of_all_runs_come_to_who_listens()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        using EventReader events = await EventReader.OpenAsync(rig, "/v1/events");

        RunView task = await rig.SubmitAsync(["true"]);
        await events.ReadUntilAsync("ended");
        using HttpResponseMessage call = await rig.SendAsync(ServerRig.Call(["true"]));
        await events.ReadUntilAsync("ended");

        string callId = call.Headers.GetValues("Berth-Run-Id").Single();
        Assert.Equal(
            ["accepted", "claimed", "started", "ended"], events.Seen.Where(e => e.Run == task.Id).Select(e => e.Type));
        Assert.Equal(["started", "ended"], events.Seen.Where(e => e.Run == callId).Select(e => e.Type));
        Assert.Contains($"{task.Id}:1", events.Ids);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_listener_who_goes_away_is_forgotten(bool ofAll)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        RunView run = await rig.SubmitAsync(["sleep", "600"]);
        EventReader events = await EventReader.OpenAsync(rig, ofAll ? "/v1/events" : $"/v1/runs/{run.Id}/events");
        await Eventually.HoldsAsync("somebody listens", () => rig.Server.Rooms.Runs.Events.Listeners == 1);

        events.Dispose();

        await Eventually.HoldsAsync("nobody listens", () => rig.Server.Rooms.Runs.Events.Listeners == 0);
    }

    [Fact]
    public async Task Streams_end_when_the_server_stops()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        using EventReader events = await EventReader.OpenAsync(rig, "/v1/events");

        Task stopping = rig.Server.StopAsync(CancellationToken.None);

        await events.ReadToEndAsync();
        await stopping;
        Assert.Empty(events.Seen);
    }

    /// <summary>Reads a stream of events as a browser does, strictly.</summary>
    private sealed class EventReader : IDisposable
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

        private readonly HttpResponseMessage response;
        private readonly StreamReader lines;
        private readonly CancellationTokenSource limit = new(Patience);

        private EventReader(HttpResponseMessage response, StreamReader lines)
        {
            this.response = response;
            this.lines = lines;
        }

        public List<RunEventView> Seen { get; } = [];

        public List<string> Ids { get; } = [];

        public static async Task<EventReader> OpenAsync(
            ServerRig rig, string path, params (string Name, string Value)[] headers)
        {
            HttpResponseMessage response = await rig.GetAsync(path, headers);
            Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.ToString());
            Assert.Equal("no-store", response.Headers.CacheControl!.ToString());
            EventReader reader = new(response, new StreamReader(await response.Content.ReadAsStreamAsync()));
            Assert.Equal(": open", await reader.lines.ReadLineAsync());
            Assert.Equal("", await reader.lines.ReadLineAsync());
            return reader;
        }

        public async Task ReadUntilAsync(string type)
        {
            while (await NextAsync() is { } seen && seen.Type != type)
            {
                Assert.True(Seen.Count < 100, $"No event of the type {type} came.");
            }
        }

        public async Task ReadToEndAsync()
        {
            while (await NextAsync() is not null)
            {
                Assert.True(Seen.Count < 100, "The stream does not end.");
            }
        }

        public void Dispose()
        {
            lines.Dispose();
            response.Dispose();
            limit.Dispose();
        }

        private async Task<RunEventView?> NextAsync()
        {
            string? id = await lines.ReadLineAsync(limit.Token);
            if (id is null)
            {
                return null;
            }

            string type = await FieldAsync("event: ");
            RunEventView seen = JsonSerializer.Deserialize(await FieldAsync("data: "), RunJson.Default.RunEventView)!;
            Assert.Equal("", await lines.ReadLineAsync(limit.Token));
            Assert.StartsWith("id: ", id, StringComparison.Ordinal);
            Assert.Equal(type, seen.Type);
            Ids.Add(id[4..]);
            Seen.Add(seen);
            return seen;
        }

        private async Task<string> FieldAsync(string name)
        {
            string? line = await lines.ReadLineAsync(limit.Token);
            Assert.StartsWith(name, line, StringComparison.Ordinal);
            return line![name.Length..];
        }
    }
}
