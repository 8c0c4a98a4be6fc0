using Berth.Api.Containers;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>What runs in a container on another node, as its node tells it.</summary>
public sealed class ContainerProcessesTests
{
    [Fact]
    public async Task All_that_runs_there_is_told()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        await rig.JoinAsync("worker");
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");

        ContainerProcess only = Assert.Single(await TopAsync(rig));
        await using Berth.Api.Client.ProgramConnection beside = await rig.Client.Containers.ExecuteAsync(
            "web", new ExecRequest(["sleep", "7"]), null, CancellationToken.None);
        await rig.ConditionAsync("the other is told too", async () => (await TopAsync(rig)).Count == 2);
        await rig.Client.Containers.StopAsync("web", TimeSpan.FromSeconds(20), CancellationToken.None);
        BerthException ended = await Assert.ThrowsAsync<BerthException>(() => TopAsync(rig));

        Assert.Equal((2, "sleep 600"), (only.Pid, only.Command));
        Assert.Equal((0u, ByteSize.MiB(1).Bytes), (only.User, only.ResidentBytes));
        Assert.Equal(ErrorCode.Conflict, ended.Code);
    }

    [Fact]
    public async Task While_the_node_is_away_nobody_knows()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        await rig.JoinAsync("worker", cable);
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");

        cable.Cut();
        await rig.UntilAsync("web", c => c.State == "unknown");
        BerthException away = await Assert.ThrowsAsync<BerthException>(() => TopAsync(rig));

        Assert.Equal(ErrorCode.NodeFault, away.Code);
        Assert.Contains("Node 'worker' can't be reached", away.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_a_node_of_before_it_is_said_what_helps()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker", version: LinkProtocol.ProcessesVersion - 1);
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => TopAsync(rig));

        Assert.Equal(ErrorCode.NodeFault, refusal.Code);
        Assert.Contains("The node 'worker' speaks a version of the link", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("'berth exec'", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(1, worker.Node.Running);
    }

    [Fact]
    public void However_many_there_are_and_whatever_they_are_called_one_frame_has_them()
    {
        ProcessView[] many = [.. Enumerable.Range(2, ProcessesReport.Most + 1).Select(i => View(i, 5000))];

        ProcessesReport report = ProcessesReport.Of(many);
        byte[] frame = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(
            report, ContainerLinkJson.Default.ProcessesReport);

        Assert.InRange(frame.Length, 1, LinkFrame.LimitOf(FrameKind.Processes)!.Value);
        Assert.Equal(ProcessesReport.Most, report.Processes.Count);
        Assert.Equal(4096, ProcessesReport.Of([View(2, 5000)]).Processes[0].Command.Length);
        Assert.Equal(View(2, 10), Assert.Single(ProcessesReport.Of([View(2, 10)]).Read()));
        Assert.Equal(ByteSize.Zero, new ProcessesReport([new ProcessLine(2, 0, -1, -1, null!)]).Read()[0].Resident);
    }

    private static ProcessView View(int id, int length) => new(
        id, 7, TimeSpan.FromMilliseconds(3), ByteSize.MiB(1), new string('\u0001', length));

    private static Task<IReadOnlyList<ContainerProcess>> TopAsync(ContainerLinkRig rig) =>
        rig.Client.Containers.ProcessesAsync("web", CancellationToken.None);
}
