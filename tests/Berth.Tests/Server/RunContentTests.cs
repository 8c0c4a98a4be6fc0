using System.Net;
using Berth.Api.Runs;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Inputs and results of tasks: whole and in ranges, before they are there and after they are gone, alike for
/// what lies in the store and what lies in a file.</summary>
public sealed class RunContentTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private const int InStore = 10;
    private const int InFile = 100_000;

    private ServerRig Rig => fixture.Rig;

    [Theory]
    [InlineData(InStore, "bytes=0-3", 0, 4)]
    [InlineData(InStore, "bytes=4-", 4, 6)]
    [InlineData(InStore, "bytes=-3", 7, 3)]
    [InlineData(InStore, "bytes=0-999999", 0, 10)]
    [InlineData(InStore, "bytes=-999999", 0, 10)]
    [InlineData(InStore, "bytes=9-9", 9, 1)]
    [InlineData(InStore, "bytes=0-99999999999999999999", 0, 10)]
    [InlineData(InFile, "bytes=0-0", 0, 1)]
    [InlineData(InFile, "bytes=65530-65545", 65530, 16)]
    [InlineData(InFile, "bytes=-1", InFile - 1, 1)]
    public async Task One_range_is_206_with_just_its_bytes(int length, string range, int from, int count)
    {
        (RunView run, byte[] content) = await EndedAsync(length);

        foreach (string what in new[] { "result", "input" })
        {
            using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{run.Id}/{what}", ("Range", range));

            Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
            Assert.Equal(
                $"bytes {from}-{from + count - 1}/{length}", response.Content.Headers.ContentRange!.ToString());
            Assert.Equal(count, response.Content.Headers.ContentLength);
            Assert.Equal(content.AsSpan(from, count).ToArray(), await response.Content.ReadAsByteArrayAsync());
        }
    }

    [Theory]
    [InlineData("bytes=0-1,4-5")]
    [InlineData("lines=0-1")]
    [InlineData("bytes")]
    public async Task What_is_no_single_range_of_bytes_gets_the_whole_content(string range)
    {
        (RunView run, byte[] content) = await EndedAsync(InStore);

        using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{run.Id}/result", ("Range", range));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("bytes", response.Headers.AcceptRanges.Single());
        Assert.Equal(content, await response.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData(InStore, "bytes=10-")]
    [InlineData(InStore, "bytes=10-20")]
    [InlineData(InStore, "bytes=-0")]
    [InlineData(InStore, "bytes=5-2")]
    [InlineData(InStore, "bytes=a-b")]
    [InlineData(InFile, "bytes=100000-")]
    [InlineData(0, "bytes=0-")]
    public async Task A_range_outside_is_416_with_the_length_there_is(int length, string range)
    {
        (RunView run, _) = await EndedAsync(length);

        using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{run.Id}/result", ("Range", range));

        await response.ProblemAsync(416, "range_not_satisfiable");
        Assert.Equal($"bytes */{length}", response.Content.Headers.ContentRange!.ToString());
    }

    [Fact]
    public async Task A_range_holds_only_for_the_content_that_was_meant()
    {
        (RunView run, _) = await EndedAsync(InStore);
        using HttpResponseMessage whole = await Rig.GetAsync($"/v1/runs/{run.Id}/result");
        string tag = whole.Headers.ETag!.ToString();

        using HttpResponseMessage same = await Rig.GetAsync(
            $"/v1/runs/{run.Id}/result", ("Range", "bytes=0-1"), ("If-Range", tag));
        using HttpResponseMessage other = await Rig.GetAsync(
            $"/v1/runs/{run.Id}/result", ("Range", "bytes=0-1"), ("If-Range", "\"other\""));

        Assert.Equal((HttpStatusCode.PartialContent, HttpStatusCode.OK), (same.StatusCode, other.StatusCode));
    }

    [Theory]
    [InlineData(InStore)]
    [InlineData(InFile)]
    public async Task HEAD_tells_the_length_and_sends_nothing(int length)
    {
        (RunView run, _) = await EndedAsync(length);

        using HttpRequestMessage request = new(HttpMethod.Head, $"/v1/runs/{run.Id}/result");
        using HttpResponseMessage response = await Rig.SendAsync(request);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(length, response.Content.Headers.ContentLength);
        Assert.Empty(await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_result_is_409_until_its_run_has_ended_but_the_input_is_there_at_once()
    {
        RunView run = await Rig.SubmitAsync(["sleep", "600"], new StringContent("given"));

        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{run.Id}/result");
        string input = await Rig.Client.GetStringAsync($"/v1/runs/{run.Id}/input");
        using HttpResponseMessage cancelled = await Rig.Client.PostAsync($"/v1/runs/{run.Id}/cancel", null);

        Problem problem = await result.ProblemAsync(409, "conflict");
        Assert.Contains("wait until it has ended", problem.Detail, StringComparison.Ordinal);
        Assert.Equal("given", input);
    }

    [Fact]
    public async Task A_failed_task_leaves_what_it_had_written()
    {
        RunView run = await Rig.FinishAsync(["sh", "-c", "echo partly; exit 5"]);

        Assert.Equal(("failed", 5), (run.State, run.ExitCode));
        Assert.Equal("partly\n", await Rig.Client.GetStringAsync($"/v1/runs/{run.Id}/result"));
    }

    [Fact]
    public async Task A_calls_input_and_result_are_nowhere()
    {
        using HttpResponseMessage call = await Rig.SendAsync(ServerRig.Call(body: new StringContent("x")));
        string id = call.Headers.GetValues("Berth-Run-Id").Single();

        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{id}/result");
        using HttpResponseMessage input = await Rig.GetAsync($"/v1/runs/{id}/input");

        await result.ProblemAsync(404, "not_found");
        await input.ProblemAsync(404, "not_found");
    }

    [Theory]
    [InlineData(InStore)]
    [InlineData(InFile)]
    public async Task After_their_time_input_and_result_are_410_and_the_record_stays(int length)
    {
        ManualTime time = new();
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { ResultRetention = TimeSpan.FromHours(1) }, time: time);
        RunView run = await rig.FinishAsync(body: new ByteArrayContent(new byte[length]));

        time.Advance(TimeSpan.FromHours(2));
        HttpResponseMessage result = await Eventually.AnswerAsync(
            rig, $"/v1/runs/{run.Id}/result", HttpStatusCode.Gone);
        using HttpResponseMessage input = await rig.GetAsync($"/v1/runs/{run.Id}/input");

        Assert.Equal(run.EndedAt + TimeSpan.FromHours(1), run.ResultExpiresAt);
        await result.ProblemAsync(410, "result_expired");
        await input.ProblemAsync(410, "result_expired");
        Assert.Equal("succeeded", (await rig.RunAsync(run.Id)).State);
        Assert.Empty(Directory.GetDirectories(Path.Combine(rig.Folder, "spool")));
    }

    private async Task<(RunView Run, byte[] Content)> EndedAsync(int length)
    {
        byte[] content = new byte[length];
        new Random(length).NextBytes(content);
        return (await Rig.FinishAsync(body: new ByteArrayContent(content)), content);
    }
}
