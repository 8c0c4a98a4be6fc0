using System.Net;
using System.Text;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Callers who pause in their bodies: honest ones notice nothing, who stops for good is let go.</summary>
public sealed class SlowCallerTests
{
    /// <summary>Longer than the web server's own five seconds for a body of any kind.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(7.5);

    private static readonly TimeSpan Impatience = TimeSpan.FromMilliseconds(300);

    [Fact]
    public async Task A_caller_may_pause_in_a_calls_body_a_tasks_input_and_an_upload()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        string upload = await BeginUploadAsync(rig);
        await using RawConnection call = await SendAsync(rig, $"POST /v1/call/{ServerRig.Image}", "first\n");
        await using RawConnection task = await SendAsync(rig, $"POST /v1/tasks/{ServerRig.Image}", "first\n");
        await using RawConnection patch = await SendAsync(rig, $"PATCH {upload}", "first\n");

        await Task.Delay(Pause, TestContext.Current.CancellationToken);
        string[] answers = await Task.WhenAll(
            FinishAsync(call, "second\n"), FinishAsync(task, "second\n"), FinishAsync(patch, "second\n"));

        Assert.StartsWith("HTTP/1.1 200 ", answers[0], StringComparison.Ordinal);
        Assert.EndsWith("\r\n\r\nfirst\nsecond\n", answers[0], StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 202 ", answers[1], StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 202 ", answers[2], StringComparison.Ordinal);
        Assert.Contains("Range: 0-12\r\n", answers[2], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")]
    [InlineData("Content-Length: 12\r\n\r\nfirst\n")]
    public async Task A_tasks_input_that_stops_is_refused_with_408_and_the_settings_name_and_leaves_nothing(string body)
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { BodyIdleTimeout = Impatience });
        await using RawConnection task = await RawConnection.OpenAsync(rig);
        await task.WriteAsync(
            $"POST /v1/tasks/{ServerRig.Image} HTTP/1.1\r\nHost: berth\r\n{task.Authorization}{body}");

        string answer = await task.ReadUntilAsync("}");

        Assert.StartsWith("HTTP/1.1 408 ", answer, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"request_timeout\"", answer, StringComparison.Ordinal);
        Assert.Contains("body-idle-timeout", answer, StringComparison.Ordinal);
        Assert.Empty((await rig.RunsAsync("")).Runs);
    }

    [Fact]
    public async Task An_upload_that_stops_is_refused_with_408_and_goes_on_from_what_had_come()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { BodyIdleTimeout = Impatience });
        string upload = await BeginUploadAsync(rig);
        await using RawConnection patch = await SendAsync(rig, $"PATCH {upload}", "first\n");

        string answer = await patch.ReadUntilAsync("}");
        using HttpResponseMessage status = await rig.GetAsync(upload);

        Assert.StartsWith("HTTP/1.1 408 ", answer, StringComparison.Ordinal);
        Assert.Contains("body-idle-timeout", answer, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NoContent, status.StatusCode);
        Assert.Equal("0-5", status.Headers.GetValues("Range").Single());
    }

    [Fact]
    public async Task A_call_whose_body_stops_ends_at_its_own_timeout()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { BodyIdleTimeout = Impatience });
        await using RawConnection call = await SendAsync(
            rig, $"POST /v1/call/{ServerRig.Image}", "first\n", "Berth-Timeout: 1s\r\n");

        string answer = await call.ReadUntilAsync("\"usage\"");

        Assert.StartsWith("HTTP/1.1 504 ", answer, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"run_timed_out\"", answer, StringComparison.Ordinal);
    }

    private static async Task<string> BeginUploadAsync(ServerRig rig)
    {
        using HttpResponseMessage begun = await rig.Client.PostAsync("/v2/demo/slow/blobs/uploads/", null);
        return begun.Headers.Location!.ToString();
    }

    /// <summary>Sends the head and the first chunk of a request.</summary>
    private static async Task<RawConnection> SendAsync(ServerRig rig, string request, string chunk, string headers = "")
    {
        RawConnection connection = await RawConnection.OpenAsync(rig);
        await connection.WriteAsync(
            $"{request} HTTP/1.1\r\nHost: berth\r\n{connection.Authorization}{headers}"
            + $"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{Chunk(chunk)}");
        return connection;
    }

    private static async Task<string> FinishAsync(RawConnection connection, string chunk)
    {
        await connection.WriteAsync(Chunk(chunk) + "0\r\n\r\n");
        return await connection.ReadToEndAsync();
    }

    private static string Chunk(string text) => $"{Encoding.ASCII.GetByteCount(text):x}\r\n{text}\r\n";
}
