using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Testing.Nodes;
using Xunit;

namespace Berth.Tests.Nodes;

public sealed class FakeNodeTests : NodeContract, IAsyncLifetime
{
    private readonly FakeNode node = new(TimeProvider.System);

    protected override INode Node => node;

    protected override SandboxSpec Sandbox { get; } =
        new(Digest.Sha256("fake"u8), SandboxLimits.Default, NetworkMode.None);

    public async ValueTask InitializeAsync() => await node.StartAsync(CancellationToken.None);

    public async ValueTask DisposeAsync() => await node.DisposeAsync();

    [Fact]
    public async Task Progress_is_passed_on()
    {
        await using IAttempt attempt = await StartAsync(["sh", "-c", "progress 40 halfway there"]);

        await CompleteAsync(attempt);

        Assert.Equal(new ProgressReport(40, "halfway there"), await attempt.Progress.ReadAsync());
    }

    [Fact]
    public async Task Faults_can_be_ordered()
    {
        node.FailNextStart(new BerthException(ErrorCode.NodeFault, "No."));
        node.FailNextMachine("The disk is gone.");

        await Assert.ThrowsAsync<BerthException>(() => StartAsync(["cat"]));
        await using IAttempt attempt = await StartAsync(["cat"]);
        AttemptReport report = await CompleteAsync(attempt);

        Assert.Equal(EndReason.PlatformFault, report.Reason);
        Assert.Equal("The disk is gone.", report.Detail);
    }
}
