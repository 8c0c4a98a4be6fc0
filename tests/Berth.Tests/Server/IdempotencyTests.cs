using System.Net;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>A submission that is sent again, as a client does that lost the answer.</summary>
public sealed class IdempotencyTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    [Fact]
    public async Task The_same_request_sent_again_gives_the_same_run()
    {
        using HttpResponseMessage first = await SubmitAsync("once", "input", ("X-A", "1"), ("X-B", "2"));
        using HttpResponseMessage again = await SubmitAsync("once", "input", ("X-B", "2"), ("X-A", "1"));

        Assert.Equal(HttpStatusCode.Accepted, first.StatusCode);
        Assert.Equal(HttpStatusCode.Accepted, again.StatusCode);
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.False(first.Headers.Contains("Idempotency-Replayed"));
        Assert.Equal("true", Assert.Single(again.Headers.GetValues("Idempotency-Replayed")));
    }

    [Fact]
    public async Task A_retry_may_continue_another_trace()
    {
        using HttpResponseMessage first = await SubmitAsync(
            "traced", "input", ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        using HttpResponseMessage again = await SubmitAsync(
            "traced", "input", ("traceparent", "00-5bf92f3577b34da6a3ce929d0e0e4736-10f067aa0ba902b7-01"));

        Assert.Equal(first.Headers.Location, again.Headers.Location);
    }

    [Theory]
    [InlineData("other input", "")]
    [InlineData("input", "64Mi")]
    public async Task Another_request_with_the_key_is_refused(string body, string memory)
    {
        string key = "taken-" + body.Length;
        using HttpResponseMessage first = await SubmitAsync(key, "input");
        (string, string)[] options = memory.Length == 0 ? [] : [("Berth-Memory", memory)];
        using HttpResponseMessage other = await SubmitAsync(key, body, options);

        Assert.Equal(HttpStatusCode.Accepted, first.StatusCode);
        Assert.Equal(HttpStatusCode.Conflict, other.StatusCode);
    }

    private async Task<HttpResponseMessage> SubmitAsync(
        string key, string body, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/tasks/" + ServerRig.Image)
        {
            Content = new StringContent(body),
        };
        request.Headers.Add("Idempotency-Key", key);
        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await fixture.Rig.Client.SendAsync(request, TestContext.Current.CancellationToken);
    }
}
