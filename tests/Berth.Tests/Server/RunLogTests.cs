using System.Net;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>What programs wrote to standard error, over HTTP.</summary>
public sealed class RunLogTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Theory]
    [InlineData("", "one\ntwo\nthree\n")]
    [InlineData("?tail=1", "three\n")]
    [InlineData("?tail=2", "two\nthree\n")]
    [InlineData("?tail=0", "")]
    [InlineData("?tail=1000", "one\ntwo\nthree\n")]
    [InlineData("?since=1h", "one\ntwo\nthree\n")]
    [InlineData("?since=2000-01-01T00:00:00Z", "one\ntwo\nthree\n")]
    [InlineData("?since=2100-01-01T00:00:00Z", "")]
    [InlineData("?since=1h&tail=1", "three\n")]
    [InlineData("?follow=true", "one\ntwo\nthree\n")]
    [InlineData("?follow", "one\ntwo\nthree\n")]
    [InlineData("?follow=true&tail=1", "three\n")]
    public async Task Lines_of_an_ended_run(string query, string expected)
    {
        RunView run = await Rig.FinishAsync(["sh", "-c", "echo one >&2; echo two >&2; echo three >&2; echo out"]);

        using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{run.Id}/logs{query}");

        Assert.Equal("text/plain; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.Equal(expected, await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Each_line_has_its_time_when_asked_for()
    {
        RunView run = await Rig.FinishAsync(["sh", "-c", "echo one >&2; echo two >&2"]);

        string text = await Rig.Client.GetStringAsync($"/v1/runs/{run.Id}/logs?timestamps=true");

        Assert.Matches(
            @"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z one\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z two\n\z", text);
    }

    [Fact]
    public async Task A_follower_gets_lines_as_they_come_and_the_end_with_the_run()
    {
        RunView run = await Rig.SubmitAsync(["sh", "-c", "echo one >&2; sleep 600"]);
        using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{run.Id}/logs?follow=true");
        using StreamReader lines = new(await response.Content.ReadAsStreamAsync());

        string? first = await lines.ReadLineAsync();
        using HttpResponseMessage cancelled = await Rig.Client.PostAsync($"/v1/runs/{run.Id}/cancel", null);
        string? afterwards = await lines.ReadLineAsync();

        Assert.Equal("one", first);
        Assert.Null(afterwards);
    }

    [Fact]
    public async Task A_follower_who_comes_before_the_program_waits_for_it()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        Action letGo = rig.Node.HoldStarts();
        RunView run = await rig.SubmitAsync(["sh", "-c", "echo late >&2"]);
        using HttpResponseMessage response = await rig.GetAsync($"/v1/runs/{run.Id}/logs?follow=true");

        letGo();

        Assert.Equal("late\n", await response.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData("", 3)]
    [InlineData("?tail=3", 3)]
    [InlineData("?tail=2", 2)]
    [InlineData("?tail=1", 1)]
    [InlineData("?follow=true&tail=2", 2)]
    public async Task A_line_longer_than_a_record_comes_whole_and_counts_as_one(string query, int lines)
    {
        string longLine = new('x', 40_003);
        RunView run = await Rig.FinishAsync(["sh", "-c", $"echo one >&2; echo {longLine} >&2; echo three >&2"]);

        string text = await Rig.Client.GetStringAsync($"/v1/runs/{run.Id}/logs{query}");

        string[] all = ["one\n", longLine + "\n", "three\n"];
        Assert.Equal(string.Concat(all[^lines..]), text);
    }

    [Fact]
    public async Task A_long_line_has_one_time_and_the_tail_of_a_problem_does_not_tear_it()
    {
        string longLine = new('x', 17_000);
        using HttpResponseMessage failed = await Rig.SendAsync(ServerRig.Call(
            ["sh", "-c", $"echo {longLine} >&2; exit 3"], headers: ("Prefer", "respond-async, wait=30")));
        Problem problem = await failed.ProblemAsync(502, "run_failed");

        string text = await Rig.Client.GetStringAsync($"/v1/runs/{problem.RunId}/logs?timestamps=true");

        Assert.Equal(longLine[^4095..] + "\n", problem.Stderr);
        Assert.Matches(@"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z x{17000}\n\z", text);
    }

    [Fact]
    public async Task A_calls_log_is_kept_like_a_tasks()
    {
        using HttpResponseMessage call = await Rig.SendAsync(ServerRig.Call(["sh", "-c", "echo said >&2"]));
        string id = call.Headers.GetValues("Berth-Run-Id").Single();

        Assert.Equal("said\n", await Rig.Client.GetStringAsync($"/v1/runs/{id}/logs"));
    }

    [Fact]
    public async Task Following_ends_when_the_server_stops()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { ShutdownGrace = TimeSpan.Zero });
        RunView run = await rig.SubmitAsync(["sh", "-c", "echo one >&2; sleep 600"]);
        using HttpResponseMessage response = await rig.GetAsync($"/v1/runs/{run.Id}/logs?follow=true");
        using StreamReader lines = new(await response.Content.ReadAsStreamAsync());
        await lines.ReadLineAsync();

        Task stopping = rig.Server.StopAsync(CancellationToken.None);

        Assert.Null(await lines.ReadLineAsync());
        await stopping;
    }

    [Theory]
    [InlineData("tail=-1", "tail")]
    [InlineData("tail=all", "tail")]
    [InlineData("since=never", "since")]
    [InlineData("follow=maybe", "follow")]
    [InlineData("timestamps=2", "timestamps")]
    [InlineData("lines=3", "lines")]
    public async Task A_question_that_makes_no_sense_is_refused_by_name(string query, string name)
    {
        RunView run = await Rig.FinishAsync(["true"]);

        using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{run.Id}/logs?{query}");

        Assert.Contains(name, (await response.ProblemAsync(400, "invalid_request")).Detail, StringComparison.Ordinal);
    }
}
