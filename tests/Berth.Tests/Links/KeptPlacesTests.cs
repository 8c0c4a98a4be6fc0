using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Nodes;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Links;
using Berth.Testing.Clocks;
using Berth.Testing.Nodes;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Room of containers on a node, between two of their programs.</summary>
public sealed class KeptPlacesTests : IAsyncLifetime
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    private readonly ManualTime time = new();
    private readonly FakeNode node = new(TimeProvider.System);
    private readonly PlaceGate gate;
    private readonly KeptPlaces places;

    public KeptPlacesTests()
    {
        gate = new PlaceGate(2, ByteSize.GiB(1), time);
        places = new KeptPlaces(time);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await node.StartAsync(Token);

    public async ValueTask DisposeAsync()
    {
        places.Dispose();
        await node.StopAsync(Token);
    }

    [Fact]
    public async Task The_next_start_of_the_same_files_takes_it_over()
    {
        IAttempt first = await RunAsync(Order(1));
        AttemptSpec next = Order(2);

        IDisposable? early = places.TakeOver("one", next);
        await EndAsync(first, EndReason.PlatformFault);
        IDisposable? others = places.TakeOver("two", next);
        IDisposable? smaller = places.TakeOver("one", Order(2, megabytes: 100));
        IDisposable? taken = places.TakeOver("one", next);
        IDisposable? again = places.TakeOver("one", next);
        time.Advance(Pause * 2);

        Assert.Equal((null, null, null, null), (early, others, smaller, again));
        Assert.Equal(ByteSize.MiB(600), gate.Promised);
        taken!.Dispose();
        Assert.Equal(ByteSize.Zero, gate.Promised);
    }

    [Fact]
    public async Task Where_no_start_comes_it_is_given_back_after_its_time()
    {
        IAttempt first = await RunAsync(Order(1));
        await EndAsync(first, EndReason.PlatformFault);
        await UntilAsync(() => time.Waiting == 1);

        time.Advance(Pause - TimeSpan.FromSeconds(1));
        ByteSize before = gate.Promised;
        time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal((ByteSize.MiB(600), ByteSize.Zero), (before, gate.Promised));
        Assert.Null(places.TakeOver("one", Order(2)));
    }

    [Fact]
    public async Task What_somebody_stopped_leaves_it_at_once()
    {
        IAttempt first = await RunAsync(Order(1));

        await EndAsync(first, EndReason.Canceled);

        await UntilAsync(() => gate.Promised == ByteSize.Zero);
    }

    [Fact]
    public async Task What_its_server_gives_back_is_free_at_once_and_never_that_of_what_runs()
    {
        IAttempt first = await RunAsync(Order(1));
        places.GiveBack("one", first.Spec.Id);
        ByteSize running = gate.Promised;
        await EndAsync(first, EndReason.PlatformFault);

        places.GiveBack("two", first.Spec.Id);
        ByteSize others = gate.Promised;
        places.GiveBack("one", first.Spec.Id);

        Assert.Equal((ByteSize.MiB(600), ByteSize.MiB(600), ByteSize.Zero), (running, others, gate.Promised));
    }

    [Fact]
    public async Task The_room_of_files_that_are_removed_is_free_at_once()
    {
        IAttempt first = await RunAsync(Order(1));
        await EndAsync(first, EndReason.PlatformFault);

        places.GiveBackLayer("two", "layer");
        places.GiveBackLayer("one", "another");
        ByteSize kept = gate.Promised;
        places.GiveBackLayer("one", "layer");

        Assert.Equal((ByteSize.MiB(600), ByteSize.Zero), (kept, gate.Promised));
    }

    private static AttemptSpec Order(int number, int megabytes = 600) => new(
        $"run-{number}", RunId.New(TimeProvider.System.GetUtcNow()), number,
        new SandboxSpec(
            Digest.Sha256("fake"u8),
            SandboxLimits.Default with { Memory = ByteSize.MiB(megabytes) }, NetworkMode.None),
        ["sleep", "600"], null, new Dictionary<string, string>(), null, null, Timeout: null, TimeSpan.Zero,
        Extras: new SandboxExtras("layer", false, [], null), IsContainer: true, KeepRoom: Pause);

    private static async Task EndAsync(IAttempt attempt, EndReason reason)
    {
        attempt.Stop(reason, TimeSpan.Zero);
        await attempt.Completion;
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (!condition())
        {
            await Task.Delay(5, limit.Token);
        }
    }

    private async Task<IAttempt> RunAsync(AttemptSpec order)
    {
        AdmissionDemand demand = new(TakesPlace: false, order.Sandbox.Limits.Memory);
        IDisposable place = await gate.TakeAsync(demand, yields: true, TimeSpan.Zero, Token);
        IAttempt attempt = await node.StartAsync(order, Token);
        places.Add("one", attempt, place);
        return attempt;
    }
}
