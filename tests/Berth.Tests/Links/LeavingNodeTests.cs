using Berth.Api.Containers;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Server.Nodes;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>What becomes of containers and volumes when their node is drained, stopped, or removed and joins again.
/// </summary>
public sealed class LeavingNodeTests
{
    [Fact]
    public async Task A_drain_moves_what_can_be_elsewhere_at_once_and_names_the_rest()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode first = await rig.JoinAsync("first");
        await rig.RunAsync("web", ["sleep", "600"], "node!=fake", restart: "unless-stopped");
        await rig.RunAsync("once", ["sleep", "600"], "node!=fake");
        await rig.RunAsync("bound", ["sleep", "600"], "node=first", restart: "always");
        await rig.RunAsync(
            "data", ["sleep", "600"], "node!=fake", restart: "always",
            mounts: [new MountView("volume", "records", "/data")]);
        await rig.RunAsync(
            "own", ["sleep", "600"], "node!=fake", restart: "always", mounts: [new MountView("volume", null, "/own")]);
        JoinedNode second = await rig.JoinAsync("second");

        MachineDrain drain = await rig.Client.Nodes.DrainAsync("first", CancellationToken.None);
        // That it was started once more is known a moment after where it runs.
        ContainerView moved = await rig.UntilAsync(
            "web", c => c is { State: "running", Node: "second", Restarts: > 0 });

        Assert.True(drain.Node.Cordoned);
        Assert.Equal(["web"], drain.Moved);
        Assert.Equal((5, null), (drain.Running, drain.Unasked));
        Assert.Equal(
            [
                new("bound", "no other node takes it now"),
                new("data", "it has the volume 'records'"),
                new("once", "its policy does not start it again (--restart)"),
                new("own", "it has a volume of its own"),
            ],
            drain.Staying);
        Assert.Equal(1, moved.Restarts);
        await rig.ConditionAsync(
            "it runs there and the others go on",
            () => Task.FromResult(first.Node.Running == 4 && second.Node.Running == 1));
        Assert.Equal(4, (await rig.Rig0.SeeAsync("first")).Running);

        await rig.Client.Nodes.EvictAsync("first", CancellationToken.None);
        ContainerView once = await rig.UntilAsync("once", c => c.State == "exited");
        await rig.UntilAsync("data", c => c.State == "restarting");
        await rig.ConditionAsync("nothing is left there", () => Task.FromResult(first.Node.Running == 0));

        Assert.Equal("platform_fault", once.Reason);
        await rig.ConditionAsync(
            "it is seen", async () => (await rig.Rig0.SeeAsync("first")).Running == 0);
        MachineDrain over = await rig.Client.Nodes.DrainAsync("first", CancellationToken.None);
        Assert.Equal((0, 0, 0), (over.Running, over.Moved.Count, over.Staying.Count));
    }

    [Fact]
    public async Task What_the_server_before_this_one_left_there_is_ended_too()
    {
        using TemporaryFolder folder = new();
        ContainerLinkRig before = await ContainerLinkRig.StartAsync(folder: folder);
        await using Cable cable = new(before.Rig0.NodeAddress);
        JoinedNode worker = await before.JoinAsync("worker", cable);
        await before.RunAsync("web", ["sleep", "600"], "node=worker");
        await before.Client.Nodes.DrainAsync("worker", CancellationToken.None);
        await before.DisposeServerAsync();

        await using ContainerLinkRig after = await ContainerLinkRig.StartAsync(folder: folder);
        cable.Mend(after.Rig0.NodeAddress);
        await after.UntilAsync("web", c => c.State == "running");
        MachineDrain drain = await after.Client.Nodes.DrainAsync("worker", CancellationToken.None);
        await after.Client.Nodes.EvictAsync("worker", CancellationToken.None);
        await after.UntilAsync("web", c => c.State == "exited");

        Assert.Equal("web", Assert.Single(drain.Staying).Container);
        await after.ConditionAsync("nothing is left there", () => Task.FromResult(worker.Node.Running == 0));
        await worker.DisposeAsync();
        await before.DisposeClientAsync();
    }

    [Fact]
    public async Task The_server_s_own_machine_keeps_its_containers()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        await rig.RunAsync("here", ["sleep", "600"], restart: "always");

        MachineDrain drain = await rig.Client.Nodes.DrainAsync("fake", CancellationToken.None);

        Assert.Equal([new("here", "it is on the server's own machine")], drain.Staying);
        Assert.Equal(1, rig.Server.Node.Running);
    }

    [Theory]
    [InlineData(LinkProtocol.NegotiatedStreams, LinkProtocol.Version, true)]
    [InlineData(LinkProtocol.Negotiated, LinkProtocol.Version, true)]
    [InlineData(LinkProtocol.NegotiatedStreams, LinkProtocol.ProcessesVersion - 1, false)]
    public async Task A_node_that_is_stopped_takes_leave(string streams, int version, bool says)
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker", version: version, offers: [streams]);
        NodeLink link = rig.Rig0.Rooms.Register.Get("worker").Node!.Link;

        await worker.StopAsync();

        await rig.ConditionAsync("the link is over", () => Task.FromResult(link.Closed.IsCancellationRequested));
        Assert.Equal(says, link.HasLeft);
        await rig.Rig0.UntilAsync("worker", n => n.State == "lost");
    }

    [Fact]
    public async Task Volumes_without_a_name_go_with_their_container_where_that_is_asked_also_when_its_node_was_away()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        JoinedNode worker = await rig.JoinAsync("worker", cable);
        MountView[] own = [new("volume", null, "/own"), new("volume", "shared", "/shared")];
        await rig.RunAsync("away", ["sleep", "600"], "node=worker", mounts: own);
        await rig.RunAsync("there", ["sleep", "600"], "node=worker", mounts: own);
        ContainerView stays = await rig.RunAsync("stays", ["sleep", "600"], "node=worker", mounts: own);
        Assert.Equal(4, (await VolumesAsync(worker)).Length);

        await rig.Client.Containers.RemoveAsync("there", force: true, volumes: true, CancellationToken.None);
        await rig.ConditionAsync("one is gone", async () => (await VolumesAsync(worker)).Length == 3);
        cable.Cut();
        await rig.UntilAsync("away", c => c.State == "unknown");
        await rig.Client.Containers.RemoveAsync("away", force: true, volumes: true, CancellationToken.None);
        cable.Mend(rig.Rig0.NodeAddress);
        await rig.ConditionAsync("the other is gone", async () => (await VolumesAsync(worker)).Length == 2);

        await rig.UntilAsync("stays", c => c.State == "running");
        Assert.Equal(
            stays.Spec.Mounts!.Select(m => m.Source).Order(StringComparer.Ordinal), await VolumesAsync(worker));
        Assert.Equal(
            new[] { stays.Id }.Concat(stays.Spec.Mounts!.Select(m => m.Source!).Where(s => s != "shared"))
                .Order(StringComparer.Ordinal),
            Directory.GetFiles(worker.Folder["containers"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Otherwise_they_stay_and_are_found_and_removed_as_those_with_a_name()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        JoinedNode worker = await rig.JoinAsync("worker", cable);
        MountView[] own = [new("volume", null, "/own")];
        foreach (string name in (string[])["first", "second", "third"])
        {
            await rig.RunAsync(name, ["sleep", "600"], "node=worker", mounts: own);
        }

        await rig.Client.Containers.RemoveAsync("first", force: true, volumes: false, CancellationToken.None);
        cable.Cut();
        await rig.UntilAsync("second", c => c.State == "unknown");
        await rig.Client.Containers.RemoveAsync("second", force: true, volumes: false, CancellationToken.None);
        await rig.Client.Containers.RemoveAsync("third", force: true, volumes: true, CancellationToken.None);
        cable.Mend(rig.Rig0.NodeAddress);
        // With the next link the node is asked what it keeps.
        await rig.ConditionAsync("the third's is gone", async () => (await VolumesAsync(worker)).Length == 2);

        string[] left = await VolumesAsync(worker);
        IReadOnlyList<VolumeView> listed = await rig.Client.Volumes.ListAsync(CancellationToken.None);
        Assert.Equal(left.Select(name => (name, "worker")), listed.Select(v => (v.Name, v.Node!)));
        await rig.Client.Volumes.RemoveAsync(left[0], CancellationToken.None);
        Assert.Equal([left[1]], await VolumesAsync(worker));
        SystemPruneResult pruned = await rig.Client.Volumes.PruneAsync(volumes: false, CancellationToken.None);
        Assert.Equal([left[1]], pruned.Volumes);
        Assert.Empty(await VolumesAsync(worker));
    }

    [Fact]
    public async Task Volumes_of_a_node_that_joins_again_are_set_aside_and_none_of_a_container()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");
        string volumes = worker.Folder["volumes"];
        foreach (string name in (string[])["pages", "anonymous-1f"])
        {
            Directory.CreateDirectory(Path.Combine(volumes, name));
            await File.WriteAllTextAsync(Path.Combine(volumes, name, "file"), "old", CancellationToken.None);
        }

        await worker.StopAsync();
        JoinedNode same = await rig.Rig0.StartAsync(worker.Folder, worker.Identity);
        await rig.Rig0.UntilAsync("worker", n => n.State == "ready");
        Assert.True(File.Exists(volumes + "/pages/file"));
        await same.StopAsync();
        await rig.Client.Nodes.RemoveAsync("worker", CancellationToken.None);
        await rig.Rig0.JoinAsync("worker", data: worker.Folder);

        string aside = Assert.Single(Directory.GetDirectories(volumes, ".left-*"));
        Assert.Equal("old", await File.ReadAllTextAsync(aside + "/pages/file", CancellationToken.None));
        Assert.Equal(
            ["anonymous-1f"],
            Directory.GetDirectories(volumes).Except([aside]).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_path_that_can_not_be_said_to_a_node_is_refused_by_name()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        await rig.JoinAsync("worker");

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => rig.RunAsync(
            "web", ["cat"], "node=worker", mounts: [new MountView("volume", "data", "/a:b")]));
        ContainerView here = await rig.RunAsync("web", ["cat"], mounts: [new MountView("volume", "data", "/a:b")]);

        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        Assert.Contains("'/a:b' can't be mounted on the node 'worker'", refusal.Message, StringComparison.Ordinal);
        Assert.Null(here.Node);
    }

    private static async Task<string[]> VolumesAsync(JoinedNode node) =>
        [.. (await node.Node.Storage.VolumesAsync(CancellationToken.None)).Select(v => v.Name)];
}
