using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>How many instances there are, changed while they run; with a node in memory.</summary>
public sealed class ScaleTests : IAsyncLifetime
{
    private ServerRig rig = null!;
    private BerthClient client = null!;
    private PlayedService service = null!;

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        rig = await ServerRig.StartAsync();
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
        service = new PlayedService((_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "ok")));
    }

    public async ValueTask DisposeAsync()
    {
        await service.DisposeAsync();
        client.Dispose();
        await rig.DisposeAsync();
    }

    [Fact]
    public async Task More_instances_come_at_once_and_those_there_are_stay()
    {
        await DeployAsync(Request());
        string first = (await GetAsync()).Instances!.Single().Id;

        FunctionView told = await client.Functions.ScaleAsync("svc", new ScaleRequest(3, 5), Soon);
        await BecomesAsync(3);
        FunctionView view = await GetAsync();

        ScalingView at = told.Scaling!.Single();
        Assert.Equal((3, 3, 5), (at.Ready + at.Starting, at.Min, at.Max));
        Assert.Equal((1, true), (view.Revision, view.Instances!.Any(i => i.Id == first)));
        await client.Functions.ScaleAsync("svc", new ScaleRequest(1, ScaleDownDelay: "100ms"), Soon);
        await BecomesAsync(1);
    }

    /// <summary>That it was tried is no reason for another start, where the revision keeps one.</summary>
    [Fact]
    public async Task The_instance_that_a_deployment_tried_is_the_first_of_those_that_are_kept()
    {
        await DeployAsync(Request() with { MinInstances = 1 });
        await DeployAsync(Request() with { MinInstances = 1, Memory = "64Mi", Traffic = 50 });

        string[] ready = [.. (await GetAsync()).Instances!.Select(i => i.Id)];

        Assert.Equal(2, ready.Length);
        Assert.Equal(ready.Order(), rig.Node.Started.Select(s => s.Run.Text).Order());
    }

    [Fact]
    public async Task A_deployment_that_differs_in_the_number_of_instances_alone_makes_no_revision()
    {
        await DeployAsync(Request());

        FunctionDeployment scaled = await DeployAsync(Request() with { MinInstances = 2, MaxInstances = 4 });
        FunctionDeployment same = await DeployAsync(Request() with { MinInstances = 2, MaxInstances = 4 });
        FunctionDeployment other = await DeployAsync(
            Request() with { MinInstances = 2, MaxInstances = 4, Memory = "64Mi" });

        Assert.Equal([(1, true), (1, false), (2, true)], ((FunctionDeployment[])[scaled, same, other]).Select(
            d => (d.Revision, d.Changed)));
        RevisionView first = (await client.Functions.RevisionsAsync("svc", Soon))[^1];
        Assert.Equal((2, 4), (first.Spec.MinInstances, first.Spec.MaxInstances));
    }

    [Fact]
    public async Task In_a_window_instances_are_kept_without_calls_and_outside_of_all_they_are_not()
    {
        WarmSpan open = new("* * * * *", "0 0 1 1 *", Min: 2);
        await DeployAsync(Request() with { Warm = [open with { Min = 1 }, open] });
        await BecomesAsync(2);
        ScalingView warm = (await GetAsync()).Scaling!.Single();
        IReadOnlyList<WarmSpan> kept = (await client.Functions.RevisionsAsync("svc", Soon))[0].Spec.Warm!;
        FunctionDeployment same = await DeployAsync(Request() with { Warm = [open with { Min = 1 }, open] });

        BerthException more = await RefusedAsync("svc", new ScaleRequest(MaxInstances: 1));
        BerthException wrong = await RefusedAsync("svc", new ScaleRequest(Warm: [open with { End = "x" }]));
        BerthException zone = await RefusedAsync("svc", new ScaleRequest(Warm: [open with { Zone = "Mars" }]));
        BerthException none = await RefusedAsync("svc", new ScaleRequest(Warm: [open with { Min = null }]));
        await client.Functions.ScaleAsync(
            "svc", new ScaleRequest(Idle: "100ms", ScaleDownDelay: "100ms", Warm: []), Soon);
        await BecomesAsync(0);

        Assert.Contains(
            "at least 2 are kept in the window '* * * * *' to '0 0 1 1 *' UTC", warm.Why, StringComparison.Ordinal);
        Assert.StartsWith("At least 2 are kept until ", warm.Warm, StringComparison.Ordinal);
        Assert.Equal([open with { Zone = "UTC", Min = 1 }, open with { Zone = "UTC" }], kept);
        Assert.False(same.Changed);
        Assert.StartsWith("warm.min = 2 can't be used with maxInstances = 1", more.Message, StringComparison.Ordinal);
        Assert.StartsWith("warm[0].end = 'x' can't be used", wrong.Message, StringComparison.Ordinal);
        Assert.StartsWith("warm[0].zone = 'Mars' can't be used", zone.Message, StringComparison.Ordinal);
        Assert.StartsWith("warm[0].min = '' can't be used", none.Message, StringComparison.Ordinal);
        Assert.Null((await GetAsync()).Scaling!.Single().Warm);
    }

    [Fact]
    public async Task What_can_not_be_is_refused_and_changes_nothing()
    {
        await DeployAsync(Request());
        await client.Functions.DeployAsync("own", new FunctionRequest(ServerRig.Image), Soon);

        BerthException crossed = await RefusedAsync("svc", new ScaleRequest(30));
        BerthException none = await RefusedAsync("own", new ScaleRequest(1));
        BerthException missing = await RefusedAsync("svc", new ScaleRequest(1, Revision: 7));

        Assert.Equal(
            (ErrorCode.InvalidRequest,
                "minInstances = 30 can't be used with maxInstances = 20: no more are kept than there may be."),
            (crossed.Code, crossed.Message));
        Assert.Equal((ErrorCode.Conflict, ErrorCode.NotFound), (none.Code, missing.Code));
        Assert.Contains("has no instances to scale", none.Message, StringComparison.Ordinal);
        Assert.Equal((0, 20), ((await GetAsync()).Scaling!.Single().Min, (await GetAsync()).Scaling!.Single().Max));
    }

    private Task<BerthException> RefusedAsync(string name, ScaleRequest request) =>
        Assert.ThrowsAsync<BerthException>(() => client.Functions.ScaleAsync(name, request, Soon));

    private async Task BecomesAsync(int ready)
    {
        ScalingView? seen = null;
        for (int i = 0; i < 3000; i++)
        {
            seen = (await GetAsync()).Scaling!.Single();
            if (seen.Ready == ready)
            {
                return;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), Soon);
        }

        Assert.Fail($"{ready} instances were expected; last seen: {seen}");
    }

    private FunctionRequest Request() =>
        new(ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port);

    private Task<FunctionDeployment> DeployAsync(FunctionRequest request) =>
        client.Functions.DeployAsync("svc", request, Soon);

    private Task<FunctionView> GetAsync() => client.Functions.GetAsync("svc", Soon);
}
