using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>When instances are frozen, with a node in memory and a program that the test plays.</summary>
public sealed class FrozenInstanceTests : ServedTest
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task One_without_calls_is_frozen_and_thawed_for_the_next()
    {
        List<bool> paused = [];
        await using PlayedService service = new((_, _) =>
        {
            paused.Add(Rig.Node.Paused > 0);
            return Task.FromResult<string?>(PlayedService.Answer(200, "said"));
        });
        await DeployAsync(service, "100ms");

        await BecomesAsync(frozen: true);
        Assert.Equal(1, Rig.Node.Paused);
        Assert.Equal("said", await CallAsync());
        await BecomesAsync(frozen: true);
        Assert.Equal("said", await CallAsync());

        Assert.Equal([false, false], paused);
    }

    [Fact]
    public async Task Never_while_it_has_a_call()
    {
        TaskCompletionSource answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PlayedService service = PlayedService.After(answer.Task, "said");
        await DeployAsync(service, "100ms");
        await BecomesAsync(frozen: true);

        Task<string> call = CallAsync();
        await BecomesAsync(frozen: false);
        // Another one is idle for shorter than the call lasts, and is frozen.
        await using PlayedService other = new(
            (_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "said")));
        await DeployAsync(other, "100ms", "other");
        await BecomesAsync(frozen: true, "other");
        bool frozen = (await InstanceAsync("svc")).Frozen;
        answer.SetResult();

        Assert.False(frozen);
        Assert.Equal("said", await call);
    }

    [Theory]
    [InlineData("never", "never")]
    [InlineData("90s", "90s")]
    [InlineData(null, "30s")]
    public async Task The_time_is_told_as_it_was_given(string? given, string told)
    {
        await using PlayedService service = new(
            (_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "said")));

        await DeployAsync(service, given);

        FunctionRequest spec = Assert.Single(await Client.Functions.RevisionsAsync("svc", Token)).Spec;
        Assert.Equal(told, spec.Freeze);
        Assert.False((await Client.Functions.DeployAsync("svc", spec, Token)).Changed);
        await Client.Functions.ScaleAsync("svc", new ScaleRequest(MaxInstances: 3), Token);
        spec = Assert.Single(await Client.Functions.RevisionsAsync("svc", Token)).Spec;
        Assert.Equal((told, 3), (spec.Freeze, spec.MaxInstances));
    }

    [Theory]
    [InlineData("http", "soon")]
    [InlineData("http", "10ms")]
    [InlineData("stdio", "30s")]
    public async Task What_makes_no_sense_is_refused(string contract, string freeze)
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => Client.Functions.DeployAsync(
            "svc", new FunctionRequest(ServerRig.Image, Contract: contract, Freeze: freeze), Token));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
        Assert.Contains("freeze", refused.Message, StringComparison.Ordinal);
    }

    private Task<FunctionDeployment> DeployAsync(
        PlayedService service, string? freeze, string name = "svc") =>
        Client.Functions.DeployAsync(
            name,
            new FunctionRequest(
                ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port, Freeze: freeze),
            Token);

    private async Task<string> CallAsync()
    {
        using HttpResponseMessage answer = await Rig.Client.GetAsync(
            new Uri("/v1/functions/svc/x", UriKind.Relative), Token);
        return await answer.Content.ReadAsStringAsync(Token);
    }

    private async Task<InstanceView> InstanceAsync(string name) =>
        Assert.Single((await Client.Functions.GetAsync(name, Token)).Instances!);

    private async Task BecomesAsync(bool frozen, string name = "svc")
    {
        long begun = TimeProvider.System.GetTimestamp();
        while ((await InstanceAsync(name)).Frozen != frozen)
        {
            Assert.True(
                TimeProvider.System.GetElapsedTime(begun) < Patience,
                $"After {Patience.TotalSeconds} s the instance is still {(frozen ? "not frozen" : "frozen")}.");
            await Task.Delay(20, Token);
        }
    }
}
