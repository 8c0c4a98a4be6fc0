using System.Net;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Calls that an instance gets whose end the server has not heard of yet, with a node in memory and a program
/// that the test plays.</summary>
public sealed class EndedInstanceTests : ServedTest
{
    /// <summary>Ends without an answer where it is told to.</summary>
    private readonly PlayedService service = new((request, _) => Task.FromResult(
        request.Line.Contains("/end", StringComparison.Ordinal) ? null : PlayedService.Answer(200, request.Body)))
    {
        KeepsConnections = true,
    };

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await service.DisposeAsync();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task A_call_that_none_of_them_knew_of_goes_to_another(int ended)
    {
        await DeployAsync(unheard: ended);

        using HttpResponseMessage answer = await PostAsync("hello");

        Assert.Equal((HttpStatusCode.OK, "hello"), (answer.StatusCode, await answer.Content.ReadAsStringAsync(Token)));
        Assert.Equal("hello", Assert.Single(service.Requests).Body);
        Assert.Equal(ended + 1, Rig.Node.Started.Count);
        InstanceView left = Assert.Single((await Client.Functions.GetAsync("svc", Token)).Instances!);
        Assert.Equal(left.Id, Assert.Single(answer.Headers.GetValues("Berth-Instance")));
    }

    [Fact]
    public async Task So_does_a_task_and_that_is_no_attempt_of_it()
    {
        await DeployAsync(unheard: 2);
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/svc/")
        {
            Content = new StringContent("later"),
        };
        request.Headers.Add("Prefer", "respond-async");

        using HttpResponseMessage accepted = await Rig.SendAsync(request);
        RunView run = await Eventually.EndAsync(Rig, (await accepted.RunAsync()).Id);

        Assert.Equal(("succeeded", 1), (run.State, run.Attempts));
        Assert.Equal("later", Assert.Single(service.Requests).Body);
    }

    [Fact]
    public async Task Where_one_after_the_other_ends_the_call_is_told_so_and_the_next_one_is_answered()
    {
        await DeployAsync(unheard: 5);

        using HttpResponseMessage refused = await PostAsync("lost");
        using HttpResponseMessage answer = await PostAsync("found");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Contains(
            "ended while it had the call", await refused.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Equal("found", await answer.Content.ReadAsStringAsync(Token));
        Assert.Equal("found", Assert.Single(service.Requests).Body);
    }

    [Fact]
    public async Task What_went_out_over_a_connection_that_was_there_may_have_been_taken_and_goes_to_no_other()
    {
        // One to see that it is ready, one for the first call.
        await DeployAsync(unheard: 1, connections: 2);
        using HttpResponseMessage first = await PostAsync("kept");

        using HttpResponseMessage ended = await Rig.Client.GetAsync(
            new Uri("/v1/functions/svc/end", UriKind.Relative), Token);
        using HttpResponseMessage next = await PostAsync("next");

        Assert.Equal("kept", await first.Content.ReadAsStringAsync(Token));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ended.StatusCode);
        Assert.Contains(
            "ended while it had the call", await ended.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Equal("next", await next.Content.ReadAsStringAsync(Token));
        Assert.Equal(["kept", "", "next"], service.Requests.Select(r => r.Body));
    }

    /// <param name="unheard">Instances that end so, from the first on.</param>
    /// <param name="connections">That each makes before.</param>
    private Task<FunctionDeployment> DeployAsync(int unheard, int connections = 1)
    {
        for (int i = 0; i < unheard; i++)
        {
            Rig.Node.EndNextUnheard(connections);
        }

        return Client.Functions.DeployAsync(
            "svc",
            new FunctionRequest(ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port, Attempts: 1),
            Token);
    }

    private async Task<HttpResponseMessage> PostAsync(string body)
    {
        using StringContent content = new(body);
        return await Rig.Client.PostAsync(new Uri("/v1/functions/svc/", UriKind.Relative), content, Token);
    }
}
