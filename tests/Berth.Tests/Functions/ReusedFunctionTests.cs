using Berth.Api.Functions;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Functions whose sandboxes are reused: what the node is asked for.</summary>
public sealed class ReusedFunctionTests : ServedTest
{
    private static readonly FunctionRequest Cat = new(ServerRig.Image, ["cat"], Isolation: "reused");

    [Fact]
    public async Task Its_calls_ask_for_a_place_in_the_shape_that_was_expected()
    {
        await Client.Functions.DeployAsync("cat", Cat with { Concurrency = 3 }, Token);

        SandboxSpec asked = await CallAsync("cat");

        Assert.Equal(3, asked.Reuse);
        Assert.Contains(asked, Rig.Node.Expected);
    }

    [Fact]
    public async Task No_two_revisions_and_no_two_functions_of_a_name_ever_share_a_sandbox()
    {
        await Client.Functions.DeployAsync("cat", Cat, Token);
        SandboxSpec first = await CallAsync("cat");
        await Client.Functions.DeployAsync("cat", Cat with { MaxWaiting = 7 }, Token);
        SandboxSpec second = await CallAsync("cat");
        await Client.Functions.RemoveAsync("cat", Token);
        await Client.Functions.DeployAsync("cat", Cat, Token);
        SandboxSpec anew = await CallAsync("cat");
        await Client.Functions.DeployAsync("dog", Cat, Token);
        SandboxSpec other = await CallAsync("dog");

        Assert.Equal(4, new[] { first, second, anew, other }.Select(s => s.Family).Distinct().Count());
        Assert.Equal(first, second with { Family = first.Family });
    }

    [Fact]
    public async Task Its_settings_are_told_as_they_can_be_given()
    {
        await Client.Functions.DeployAsync("cat", Cat, Token);

        FunctionRequest told = Assert.Single(await Client.Functions.RevisionsAsync("cat", Token)).Spec;

        Assert.Equal(("reused", 1), (told.Isolation, told.Concurrency));
        Assert.False((await Client.Functions.DeployAsync("cat", told, Token)).Changed);
    }

    [Theory]
    [InlineData("single-use", 2)]
    [InlineData("strict", 2)]
    [InlineData(null, 2)]
    [InlineData("reused", 0)]
    [InlineData("reused", 101)]
    [InlineData("shared", null)]
    public async Task What_makes_no_sense_is_refused(string? isolation, int? concurrency)
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => Client.Functions.DeployAsync(
            "cat", Cat with { Isolation = isolation, Concurrency = concurrency }, Token));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
        Assert.Contains(concurrency is null ? "isolation" : "concurrency", refused.Message, StringComparison.Ordinal);
    }

    private async Task<SandboxSpec> CallAsync(string function)
    {
        using StringContent body = new("x");
        using HttpResponseMessage answer = await Rig.Client.PostAsync(
            new Uri($"/v1/functions/{function}", UriKind.Relative), body, Token);
        Assert.Equal("x", await answer.Content.ReadAsStringAsync(Token));
        return Rig.Node.Started[^1].Sandbox;
    }
}
