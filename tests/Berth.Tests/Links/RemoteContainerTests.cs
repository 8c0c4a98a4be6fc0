using System.Text;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Containers on another node: a real server and real links, nodes without containers.</summary>
public sealed class RemoteContainerTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task It_runs_there_and_its_log_and_end_are_here()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");

        await rig.RunAsync("job", ["sh", "-c", "echo out; echo err >&2; exit 3"], "node=worker");
        ContainerView ended = await rig.UntilAsync("job", c => c.State == "exited");

        Assert.Equal((3, "worker"), (ended.ExitCode, ended.Node));
        Assert.Equal("err\nout\n", await rig.SortedLogAsync("job"));
        Assert.Empty(rig.Server.Node.Started);
        Assert.Single(worker.Node.Started);
        // The end was taken: the node keeps the layer alone.
        await rig.ConditionAsync(
            "nothing is kept", async () => (await rig.KeptAsync("worker")) is { Attempts: [], Layers: [_] });

        await rig.Client.Containers.RemoveAsync("job", force: false, volumes: false, CancellationToken.None);

        Assert.Empty((await rig.KeptAsync("worker")).Layers);
    }

    [Fact]
    public async Task Nothing_said_it_is_on_the_server_s_own_machine_until_that_takes_nothing()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        await rig.JoinAsync("worker");

        ContainerView here = await rig.RunAsync("here", ["cat"]);
        await rig.Rig0.Rooms.Register.ChangeAsync("fake", r => r with { IsCordoned = true }, CancellationToken.None);
        ContainerView there = await rig.RunAsync("there", ["cat"]);

        Assert.Equal((null, "worker"), (here.Node, there.Node));
    }

    [Fact]
    public async Task What_has_something_of_the_server_s_machine_goes_nowhere_else()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync(o => o with { AllowHostNetwork = true });
        await rig.JoinAsync("worker");

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => rig.Client.Containers.CreateAsync(
            new ContainerRequest(ServerRig.Image, "net", Network: "host", Constraints: ["node=worker"]),
            CancellationToken.None));

        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        Assert.Contains("does not meet 'node=worker'", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_it_needs_travels_with_its_order()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");

        await rig.Client.Containers.CreateAsync(
            new ContainerRequest(
                ServerRig.Image, "all", ["cat"], Terminal: true, ReadOnly: true, HostName: "there",
                Mounts: [new MountView("memory", null, "/tmp", Size: "1Mi"), new MountView("volume", "data", "/data")],
                Constraints: ["node=worker"]),
            CancellationToken.None);
        ContainerView made = await rig.Client.Containers.StartAsync("all", CancellationToken.None);

        Berth.Api.Nodes.AttemptSpec order = Assert.Single(worker.Node.Started);
        Assert.Equal(TerminalSize.Usual, order.Terminal);
        Assert.Equal(
            (made.Id, true, "there", "/data /tmp"),
            (order.Extras!.Layer, order.Extras.ReadOnlyRoot, order.Extras.HostName,
                string.Join(' ', order.Extras.Mounts.Select(m => m.Target).Order(StringComparer.Ordinal))));
        Assert.Equal("worker", (await rig.Client.Volumes.GetAsync("data", CancellationToken.None)).Node);
    }

    [Fact]
    public async Task Streams_go_on_over_the_next_link_with_every_byte_once()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        JoinedNode worker = await rig.JoinAsync("worker", cable);
        await rig.RunAsync("cat", ["cat"], "node=worker", openInput: true);
        await using ProgramConnection program =
            await rig.Client.Containers.AttachAsync("cat", CancellationToken.None);
        byte[] much = [.. Enumerable.Range(0, 2_000_000).Select(i => (byte)(i * 31 / 7))];

        Task<byte[]> reading = ReadAsync(program);
        int part = 0;
        foreach (byte[] piece in much.Chunk(100_000))
        {
            await program.WriteAsync(piece, CancellationToken.None);
            if (++part % 5 == 0)
            {
                cable.Cut();
                cable.Mend(rig.Rig0.NodeAddress);
            }
        }

        await program.EndInputAsync(CancellationToken.None);

        Assert.Equal(much, await reading.WaitAsync(Patience));
        Assert.Equal(0, program.ExitCode);
        Assert.Single(worker.Node.Started);
    }

    [Fact]
    public async Task While_its_node_is_away_nothing_is_known_of_it_and_then_it_is_as_it_was()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        JoinedNode worker = await rig.JoinAsync("worker", cable);
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");

        cable.Cut();
        ContainerView lost = await rig.UntilAsync("web", c => c.State == "unknown");
        BerthException stopping = await Assert.ThrowsAsync<BerthException>(
            () => rig.Client.Containers.StopAsync("web", null, CancellationToken.None));
        cable.Mend(rig.Rig0.NodeAddress);
        await rig.UntilAsync("web", c => c.State == "running");
        ContainerView stopped = await rig.Client.Containers.StopAsync(
            "web", TimeSpan.FromSeconds(20), CancellationToken.None);

        Assert.Contains("node 'worker' was lost", lost.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.NodeFault, stopping.Code);
        Assert.Contains("'berth rm -f'", stopping.Message, StringComparison.Ordinal);
        Assert.Equal(("exited", 143), (stopped.State, stopped.ExitCode));
        Assert.Single(worker.Node.Started);
    }

    [Fact]
    public async Task Removed_while_its_node_is_away_it_is_ended_when_that_comes_back()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        JoinedNode worker = await rig.JoinAsync("worker", cable);
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");
        cable.Cut();
        await rig.UntilAsync("web", c => c.State == "unknown");

        await rig.Client.Containers.RemoveAsync("web", force: true, volumes: false, CancellationToken.None);
        Assert.Equal(1, worker.Node.Running);
        cable.Mend(rig.Rig0.NodeAddress);

        await rig.ConditionAsync("the program ends", () => Task.FromResult(worker.Node.Running == 0));
        await rig.ConditionAsync(
            "the layer goes", async () => (await worker.Node.Storage.LayersAsync(CancellationToken.None)).Count == 0);
    }

    [Fact]
    public async Task Of_a_lost_node_what_its_policy_wants_started_is_started_elsewhere_and_the_old_one_ended()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync(
            o => o with { ContainerMoveAfter = TimeSpan.FromMilliseconds(100) });
        Cable cable = await rig.CableAsync();
        JoinedNode first = await rig.JoinAsync("first", cable);
        await rig.RunAsync("web", ["sleep", "600"], "node!=fake", restart: "always");
        await rig.RunAsync("once", ["sleep", "600"], "node!=fake");
        JoinedNode second = await rig.JoinAsync("second");

        cable.Cut();
        ContainerView moved = await rig.UntilAsync("web", c => c is { State: "running", Node: "second" });
        ContainerView stays = await rig.UntilAsync("once", c => c.State == "unknown");

        Assert.Equal((1, "first"), (moved.Restarts, stays.Node));
        await rig.ConditionAsync("it runs on the second", () => Task.FromResult(second.Node.Running == 1));
        Assert.Equal(2, first.Node.Running);
        cable.Mend(rig.Rig0.NodeAddress);
        await rig.UntilAsync("once", c => c.State == "running");
        await rig.ConditionAsync("the first ends the one", () => Task.FromResult(first.Node.Running == 1));
        Assert.Equal(1, second.Node.Running);
    }

    [Fact]
    public async Task A_node_that_was_started_anew_has_it_no_more_and_its_policy_decides()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.RunAsync("once", ["sleep", "600"], "node=worker");
        await rig.RunAsync("web", ["sleep", "600"], "node=worker", restart: "always");

        await worker.StopAsync();
        await worker.EndContainersAsync();
        await rig.Rig0.StartAsync(worker.Folder, worker.Identity);
        ContainerView once = await rig.UntilAsync("once", c => c.State == "exited");
        ContainerView web = await rig.UntilAsync("web", c => c is { State: "running", Restarts: 1 });

        Assert.Equal("platform_fault", once.Reason);
        Assert.Contains("the node has it no more", once.Message!, StringComparison.OrdinalIgnoreCase);
        Assert.Equal("worker", web.Node);
    }

    [Fact]
    public async Task It_goes_on_while_its_server_is_started_anew()
    {
        using TemporaryFolder folder = new();
        ContainerLinkRig before = await ContainerLinkRig.StartAsync(folder: folder);
        await using Cable cable = new(before.Rig0.NodeAddress);
        JoinedNode worker = await before.JoinAsync("worker", cable);
        await before.RunAsync("cat", ["cat"], "node=worker", openInput: true);
        await using (ProgramConnection program =
            await before.Client.Containers.AttachAsync("cat", CancellationToken.None))
        {
            await program.WriteAsync("before\n"u8.ToArray(), CancellationToken.None);
            await program.ReadAsync(CancellationToken.None);
        }

        await before.DisposeServerAsync();
        await using ContainerLinkRig after = await ContainerLinkRig.StartAsync(folder: folder);
        cable.Mend(after.Rig0.NodeAddress);
        await after.UntilAsync("cat", c => c.State == "running");
        await using ProgramConnection again = await after.Client.Containers.AttachAsync("cat", CancellationToken.None);
        await again.WriteAsync("after\n"u8.ToArray(), CancellationToken.None);
        await again.EndInputAsync(CancellationToken.None);
        await ReadAsync(again);

        Assert.Equal(0, again.ExitCode);
        Assert.Equal("before\nafter\n", await after.LogAsync("cat"));
        Assert.Single(worker.Node.Started);
        await worker.DisposeAsync();
        await before.DisposeClientAsync();
    }

    [Fact]
    public async Task Programs_beside_it_have_streams_ends_and_terminals()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        await rig.JoinAsync("worker");
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");

        await using ProgramConnection cat = await rig.Client.Containers.ExecuteAsync(
            "web", new ExecRequest(["cat"], OpenInput: true), null, CancellationToken.None);
        await cat.WriteAsync("typed"u8.ToArray(), CancellationToken.None);
        await cat.EndInputAsync(CancellationToken.None);
        await using ProgramConnection failing = await rig.Client.Containers.ExecuteAsync(
            "web", new ExecRequest(["sh", "-c", "echo at a terminal; exit 5"], Terminal: true), (30, 100),
            CancellationToken.None);
        await failing.ResizeAsync(40, 120, CancellationToken.None);

        Assert.Equal("typed", Encoding.UTF8.GetString(await ReadAsync(cat)));
        Assert.Equal("at a terminal\n", Encoding.UTF8.GetString(await ReadAsync(failing)));
        Assert.Equal((0, 5), (cat.ExitCode, failing.ExitCode));
        await Assert.ThrowsAsync<BerthException>(async () =>
        {
            await using ProgramConnection none = await rig.Client.Containers.ExecuteAsync(
                "web", new ExecRequest(["nosuch"]), null, CancellationToken.None);
            await ReadAsync(none);
        });
    }

    [Fact]
    public async Task A_program_beside_it_ends_with_the_link_and_says_why()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        await rig.JoinAsync("worker", cable);
        await rig.RunAsync("web", ["sleep", "600"], "node=worker");
        await using ProgramConnection sleep = await rig.Client.Containers.ExecuteAsync(
            "web", new ExecRequest(["sleep", "600"]), null, CancellationToken.None);

        cable.Cut();
        BerthException lost = await Assert.ThrowsAsync<BerthException>(() => ReadAsync(sleep).WaitAsync(Patience));

        Assert.Contains("The connection to the node 'worker' broke", lost.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pausing_killing_and_health_work_there()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.Client.Containers.CreateAsync(
            new ContainerRequest(
                ServerRig.Image, "web", ["sleep", "600"], Constraints: ["node=worker"],
                Health: new HealthCheckRequest(["true"], Interval: "10ms")),
            CancellationToken.None);
        await rig.Client.Containers.StartAsync("web", CancellationToken.None);

        await rig.UntilAsync("web", c => c.Health?.Status == "healthy");
        await rig.Client.Containers.PauseAsync("web", CancellationToken.None);
        await rig.ConditionAsync("it stands still", () => Task.FromResult(worker.Node.Paused == 1));
        await rig.Client.Containers.ResumeAsync("web", CancellationToken.None);
        await rig.ConditionAsync("it goes on", () => Task.FromResult(worker.Node.Paused == 0));
        await rig.Client.Containers.KillAsync("web", "KILL", CancellationToken.None);
        ContainerView killed = await rig.UntilAsync("web", c => c.State == "exited");

        Assert.Equal(137, killed.ExitCode);
    }

    private static async Task<byte[]> ReadAsync(ProgramConnection program)
    {
        using MemoryStream all = new();
        while (await program.ReadAsync(CancellationToken.None) is { } piece)
        {
            all.Write(piece.Bytes.Span);
        }

        return all.ToArray();
    }
}
