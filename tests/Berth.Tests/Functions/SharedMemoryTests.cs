using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Functions that together want more memory than instances may have, with a node in memory whose programs take
/// 1 MiB each.</summary>
public sealed class SharedMemoryTests : ServedTest
{
    private readonly TaskCompletionSource release = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly PlayedService slow;
    private readonly PlayedService quick = PlayedService.After(Task.CompletedTask, "quick");

    public SharedMemoryTests()
        : base(o => o with { InstanceMemory = ByteSize.MiB(8) }) => slow = PlayedService.After(release.Task, "slow");

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await slow.DisposeAsync();
        await quick.DisposeAsync();
    }

    [Fact]
    public async Task One_that_grows_is_bounded_and_others_come_up_beside_it()
    {
        Task<string>[] flood = await FloodAsync();

        // The eighth place is kept for the first; then one that is idle, or one of the flood's, gives way.
        foreach (string other in (string[])["a", "b", "c"])
        {
            await DeployAsync(other, quick);
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal("quick", await CallAsync(other));
            }
        }

        Assert.True((await ScalingAsync("flood")).Ready <= 7);
        Assert.All(flood, call => Assert.False(call.IsCompleted));
        release.SetResult();
        Assert.All(await Task.WhenAll(flood), text => Assert.Equal("slow", text));
    }

    [Fact]
    public async Task One_that_becomes_idle_goes_though_one_with_a_long_call_was_asked_before()
    {
        TaskCompletionSource answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PlayedService held = PlayedService.After(answer.Task, "held");
        Task<string>[] flood = await FloodAsync();
        await DeployAsync("a", held);
        Task<string> call = CallAsync("a");
        await BecomesAsync("a", s => s.Running == 1);

        Task<FunctionDeployment> deploying = DeployAsync("b", quick);
        await BecomesAsync("flood", s => s.Ready == 6);
        answer.SetResult();
        await deploying;

        Assert.Equal("held", await call);
        Assert.Equal("quick", await CallAsync("b"));
        Assert.All(flood, c => Assert.False(c.IsCompleted));
        release.SetResult();
        Assert.All(await Task.WhenAll(flood), text => Assert.Equal("slow", text));
    }

    [Fact]
    public async Task Idle_instances_are_given_up_for_a_function_that_is_called()
    {
        release.SetResult();
        await DeployAsync("rich", slow, new FunctionRequest(MinInstances: 6, Idle: "1h"));
        await BecomesAsync("rich", s => s.Ready == 6);
        await Client.Functions.ScaleAsync("rich", new ScaleRequest(0), Token);

        foreach (string other in (string[])["a", "b", "c", "d"])
        {
            await DeployAsync(other, quick);
            Assert.Equal("quick", await CallAsync(other));
        }

        // Those with least have theirs, and what the rich one gave up does not come back without calls.
        await BecomesAsync("rich", s => s is { Ready: <= 4, Starting: 0 });
        Assert.Equal("slow", await CallAsync("rich"));
        Assert.Equal("quick", await CallAsync("a"));
    }

    [Fact]
    public async Task Where_nobody_can_give_way_the_refusal_names_the_setting()
    {
        string[] kept = [.. Enumerable.Range(0, 8).Select(i => $"kept-{i}")];
        foreach (string name in kept)
        {
            await DeployAsync(name, quick, new FunctionRequest(MinInstances: 1));
        }

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync("last", quick, new FunctionRequest(StartTimeout: "300ms")));

        Assert.Equal(ErrorCode.QueueFull, refused.Code);
        Assert.Contains(
            "all instances have 8 MiB of the 8 MiB that they may have together: send it again later, or raise "
            + "instance-memory", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>Calls of one function that have all instances that it may have, and want more.</summary>
    private async Task<Task<string>[]> FloodAsync()
    {
        await DeployAsync("flood", slow);
        Task<string>[] flood = [.. Enumerable.Range(0, 30).Select(_ => CallAsync("flood"))];
        await BecomesAsync("flood", s => s is { Ready: 7, Starting: > 0 });
        return flood;
    }

    private Task<FunctionDeployment> DeployAsync(string name, PlayedService service, FunctionRequest? more = null) =>
        Client.Functions.DeployAsync(
            name,
            (more ?? new FunctionRequest()) with
            {
                Image = ServerRig.Image,
                Command = ["sleep", "3600"],
                Contract = "http",
                Port = service.Port,
                Concurrency = 1,
                Memory = "4Mi",
            },
            Token);

    private async Task<string> CallAsync(string name)
    {
        using HttpResponseMessage answer = await Rig.Client.GetAsync($"/v1/functions/{name}/", Token);
        return await answer.Content.ReadAsStringAsync(Token);
    }

    private async Task<ScalingView> ScalingAsync(string name) =>
        (await Client.Functions.GetAsync(name, Token)).Scaling!.Single();

    private async Task BecomesAsync(string name, Func<ScalingView, bool> holds)
    {
        ScalingView? seen = null;
        for (int i = 0; i < 3000; i++)
        {
            seen = await ScalingAsync(name);
            if (holds(seen))
            {
                return;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), Token);
        }

        Assert.Fail($"Something else was expected of {name}; last seen: {seen}");
    }
}
