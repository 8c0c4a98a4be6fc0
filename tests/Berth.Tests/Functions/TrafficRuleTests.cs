using System.Net;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Who gets a call by what stands in it, over HTTP with a node in memory.</summary>
public sealed class TrafficRuleTests : ServedTest
{
    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        await DeployAsync(new FunctionRequest(ServerRig.Image));
    }

    [Fact]
    public async Task A_header_and_a_cookie_lead_to_the_revision_that_a_rule_names()
    {
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, Memory: "64Mi", Traffic: 0, Matches: ["header:X-Beta=1", "cookie:beta=yes"]));

        Assert.Equal("1", await RevisionAsync());
        Assert.Equal("2", await RevisionAsync(("x-beta", "1")));
        Assert.Equal("1", await RevisionAsync(("X-Beta", "11")));
        Assert.Equal("1", await RevisionAsync(("X-Beta", "1, 1")));
        Assert.Equal("2", await RevisionAsync(("Cookie", "alpha=no; beta=yes; gamma")));
        Assert.Equal("1", await RevisionAsync(("Cookie", "xbeta=yes; beta=yes2; Beta=yes")));
        Assert.Equal("2", await RevisionAsync(("X-Beta", "0"), ("Cookie", "beta=yes")));
        // A revision that is named is meant.
        Assert.Equal("1", await RevisionAsync("echo@1", ("X-Beta", "1")));
    }

    [Fact]
    public async Task Rules_have_an_order_outlast_a_restart_and_keep_their_revision()
    {
        using TemporaryFolder folder = new();
        await using (ServerRig first = await ServerRig.StartAsync(folder: folder))
        {
            using BerthClient own = new(first.Address, first.AdminToken, TimeProvider.System);
            await own.Functions.DeployAsync("f", new FunctionRequest(ServerRig.Image), CancellationToken.None);
            await own.Functions.DeployAsync(
                "f", new FunctionRequest(ServerRig.Image, Memory: "64Mi"), CancellationToken.None);
            await own.Functions.RouteAsync(
                "f",
                new TrafficView(
                    [new ShareView(2, 100)],
                    Matches: [new MatchView("header:A=1", 1), new MatchView("header:B=1", 2)], Sticky: true),
                CancellationToken.None);
            for (int i = 0; i < 12; i++)
            {
                await own.Functions.DeployAsync(
                    "f", new FunctionRequest(ServerRig.Image, Memory: $"{65 + i}Mi", Traffic: 0),
                    CancellationToken.None);
            }
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        using BerthClient again = new(second.Address, second.AdminToken, TimeProvider.System);
        FunctionView view = await again.Functions.GetAsync("f", CancellationToken.None);

        Assert.Equal([new MatchView("header:A=1", 1), new MatchView("header:B=1", 2)], view.Traffic.Matches);
        Assert.True(view.Traffic.Sticky);
        using HttpRequestMessage both = new(HttpMethod.Post, "/v1/functions/f");
        both.Headers.Add("A", "1");
        both.Headers.Add("B", "1");
        using HttpResponseMessage answer = await second.SendAsync(both);
        Assert.Equal("1", answer.Headers.GetValues("Berth-Revision").Single());
    }

    [Fact]
    public async Task Without_a_word_of_rules_they_stay_and_an_empty_list_removes_them()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Memory: "64Mi", Matches: ["header:X-Beta=1"]));

        await Client.Functions.RollBackAsync("echo", null, CancellationToken.None);
        FunctionView kept = await Client.Functions.RouteAsync(
            "echo", new TrafficView([new ShareView(1, 100)]), CancellationToken.None);
        FunctionView removed = await Client.Functions.RouteAsync(
            "echo", new TrafficView([new ShareView(1, 100)], Matches: []), CancellationToken.None);

        Assert.Equal([new MatchView("header:X-Beta=1", 2)], kept.Traffic.Matches);
        Assert.Null(removed.Traffic.Matches);
    }

    [Fact]
    public async Task A_rule_to_a_revision_that_is_not_there_is_refused()
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => Client.Functions.RouteAsync(
            "echo", new TrafficView([new ShareView(1, 100)], Matches: [new MatchView("header:A=1", 7)]),
            CancellationToken.None));

        Assert.Equal(ErrorCode.NotFound, refused.Code);
    }

    [Fact]
    public async Task A_caller_is_given_a_place_and_comes_back_to_it()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, Memory: "64Mi", Traffic: 50, Sticky: true));
        using HttpResponseMessage first = await CallAsync("echo");
        string cookie = first.Headers.GetValues("Set-Cookie").Single();
        string place = cookie[..cookie.IndexOf(';', StringComparison.Ordinal)];
        string revision = first.Headers.GetValues("Berth-Revision").Single();

        for (int i = 0; i < 10; i++)
        {
            using HttpResponseMessage next = await CallAsync("echo", ("Cookie", "other=1; " + place));
            Assert.Equal(revision, next.Headers.GetValues("Berth-Revision").Single());
            Assert.False(next.Headers.Contains("Set-Cookie"), "Who has a place is given none.");
        }

        Assert.StartsWith("berth_point=", cookie, StringComparison.Ordinal);
        Assert.Contains("path=/v1/functions/echo;", cookie, StringComparison.Ordinal);
        Assert.Contains("httponly", cookie, StringComparison.Ordinal);
        // The places at both ends, and what somebody made up.
        Assert.Equal("1", await RevisionAsync(("Cookie", "berth_point=0")));
        Assert.Equal("2", await RevisionAsync(("Cookie", "berth_point=9999")));
        using HttpResponseMessage forged = await CallAsync("echo", ("Cookie", "berth_point=99999"));
        Assert.True(forged.Headers.Contains("Set-Cookie"), "What is no place is given a new one.");
        using HttpResponseMessage whole = await CallAsync("echo@1");
        Assert.False(whole.Headers.Contains("Set-Cookie"));
    }

    private Task<FunctionDeployment> DeployAsync(FunctionRequest request) =>
        Client.Functions.DeployAsync("echo", request, CancellationToken.None);

    private Task<string> RevisionAsync(params (string, string)[] headers) => RevisionAsync("echo", headers);

    private async Task<string> RevisionAsync(string name, params (string, string)[] headers)
    {
        using HttpResponseMessage answer = await CallAsync(name, headers);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return answer.Headers.GetValues("Berth-Revision").Single();
    }

    private Task<HttpResponseMessage> CallAsync(string name, params (string, string)[] headers)
    {
        HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/" + name);
        foreach ((string header, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(header, value);
        }

        return Rig.SendAsync(request);
    }
}
