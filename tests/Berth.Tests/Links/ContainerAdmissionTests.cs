using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Resources;
using Berth.Server.Nodes;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Containers take memory of their node, which judges for itself whether it has it.</summary>
public sealed class ContainerAdmissionTests
{
    private static readonly AdmissionDemand Others = new(TakesPlace: false, ByteSize.GiB(2));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Its_memory_is_promised_until_its_program_has_ended_and_what_does_not_fit_is_refused()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        Cable cable = await rig.CableAsync();
        JoinedNode worker = await rig.JoinAsync("worker", cable);
        await RunAsync(rig, "large", "3GiB", "node=worker");
        RemoteNode node = rig.Rig0.Rooms.Register.Get("worker").Node!;
        AttemptSpec order = Assert.Single(worker.Node.Started) with { IsContainer = true };
        AttemptSpec more = order with { Id = order.Id + "0", Yields = true };

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => node.StartAsync(more, Token));

        Assert.Equal(
            (ErrorCode.NoNode,
                "The node has no room for it. It has promised 3 GiB of its 4 GiB memory, and 3 GiB more are asked "
                + "for."),
            (refusal.Code, refusal.Message));
        Assert.Equal((0, ByteSize.GiB(3)), (worker.Room.Taken, worker.Room.Promised));
        Assert.Single((await rig.KeptAsync("worker")).Attempts!);
        cable.Cut();
        await rig.UntilAsync("large", c => c.State == "unknown");
        Assert.Equal(ByteSize.GiB(3), worker.Room.Promised);
        cable.Mend(rig.Rig0.NodeAddress);
        await rig.UntilAsync("large", c => c.State == "running");
        await rig.Client.Containers.StopAsync("large", TimeSpan.Zero, Token);
        await rig.ConditionAsync("it is given back", () => Task.FromResult(worker.Room.Promised == ByteSize.Zero));
    }

    [Fact]
    public async Task A_server_hears_what_others_have_there_and_not_of_its_own_again()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");
        await RunAsync(rig, "own", "1GiB", "node=worker");

        using IDisposable others = await worker.Room.TakeAsync(Others, yields: true, TimeSpan.Zero, Token);

        await rig.ConditionAsync(
            "it has heard", () => Task.FromResult(ElsewhereOf(rig) == Others.Memory.Bytes));
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => RunAsync(rig, "more", "2GiB", "node=worker"));
        Assert.Equal(ErrorCode.NoNode, refusal.Code);
        await RunAsync(rig, "rest", "1GiB", "node=worker");
    }

    [Fact]
    public async Task Refused_by_one_node_it_goes_to_another_and_no_node_is_asked_twice()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode[] workers = [await rig.JoinAsync("a"), await rig.JoinAsync("b"), await rig.JoinAsync("c")];
        // Each would take it when it is asked again.
        Refuse(workers);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => RunAsync(rig, "web", "1GiB", "node in (a,b,c)"));
        ContainerView created = await rig.Client.Containers.GetAsync("web", Token);
        Refuse(workers[..2]);
        await rig.Client.Containers.StartAsync("web", Token);
        ContainerView running = await rig.Client.Containers.GetAsync("web", Token);

        Assert.Equal(ErrorCode.NoNode, refusal.Code);
        Assert.Matches("^No node takes it: other work came first on [abc], [abc], [abc]. It is full.", refusal.Message);
        Assert.NotNull(refusal.RetryAfter);
        Assert.Equal("created", created.State);
        Assert.Equal(("running", 0), (running.State, running.Restarts));
        Assert.Equal(running.Node, Assert.Single(workers, w => w.Node.Running == 1).Identity.Name);
        Assert.Equal(1, workers.Sum(w => w.Node.Started.Count));
    }

    [Fact]
    public async Task Where_its_files_are_on_the_node_it_stays_and_that_is_said()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode first = await rig.JoinAsync("first");
        await rig.RunAsync("db", ["sleep", "600"], "node in (first,second)");
        await rig.Client.Containers.StopAsync("db", TimeSpan.Zero, Token);
        await rig.JoinAsync("second");
        Refuse(first);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Client.Containers.StartAsync("db", Token));

        Assert.Equal(
            (ErrorCode.NoNode,
                "The files of the container db are on the node 'first', and other work came first there. It is full."),
            (refusal.Code, refusal.Message));
        Assert.Equal("exited", (await rig.Client.Containers.GetAsync("db", Token)).State);
        Assert.Equal("first", (await rig.Client.Containers.StartAsync("db", Token)).Node);
    }

    [Fact]
    public async Task What_is_started_again_where_it_was_has_its_room_and_a_refusal_is_no_failure_of_it()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");
        await RunAsync(rig, "web", "1GiB", "node=worker", "always");

        Refuse(worker);
        await rig.Client.Containers.KillAsync("web", "TERM", Token);
        ContainerView again = await StartedAsync(rig, worker, "web", 2);
        await rig.Client.Containers.RestartAsync("web", TimeSpan.Zero, Token);
        await rig.Client.Containers.StopAsync("web", TimeSpan.Zero, Token);
        await rig.Client.Containers.StartAsync("web", Token);

        Assert.Equal(1, again.Restarts);
        Assert.Equal([true, true, false, true], worker.Node.Started.Select(s => s.Yields));
    }

    [Fact]
    public async Task Over_the_pause_before_its_next_start_its_room_is_not_lost_and_then_not_counted_twice()
    {
        // The pause lasts as long as is wanted here.
        ManualTime time = ManualTime.OfNow();
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync(time: time);
        JoinedNode worker = await rig.JoinAsync("worker");
        await RunAsync(rig, "web", "3GiB", "node=worker", "always");
        RemoteNode node = rig.Rig0.Rooms.Register.Get("worker").Node!;
        AttemptSpec order = Assert.Single(worker.Node.Started);
        AttemptSpec more = order with
        {
            Id = order.Id + "0",
            IsContainer = true,
            Yields = true,
            Extras = order.Extras! with { Layer = "others" },
        };

        await EndAsync(rig, "web");
        BerthException here = await Assert.ThrowsAsync<BerthException>(
            () => RunAsync(rig, "other", "2GiB", "node=worker"));
        BerthException there = await Assert.ThrowsAsync<BerthException>(() => node.StartAsync(more, Token));
        ByteSize waiting = worker.Room.Promised;
        time.Advance(TimeSpan.FromSeconds(1));
        await StartedAsync(rig, worker, "web", 2);

        Assert.Equal((ErrorCode.NoNode, ErrorCode.NoNode), (here.Code, there.Code));
        Assert.Contains("It has promised 3 GiB of its 4 GiB memory", there.Message, StringComparison.Ordinal);
        Assert.Equal((ByteSize.GiB(3), ByteSize.GiB(3)), (waiting, worker.Room.Promised));
        Assert.Equal([true, true], worker.Node.Started.Select(s => s.Yields));
    }

    [Fact]
    public async Task What_is_stopped_while_it_waits_for_its_next_start_leaves_its_room()
    {
        ManualTime time = ManualTime.OfNow();
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync(time: time);
        JoinedNode worker = await rig.JoinAsync("worker");
        await RunAsync(rig, "web", "3GiB", "node=worker", "always");
        await EndAsync(rig, "web");

        await rig.Client.Containers.StopAsync("web", TimeSpan.Zero, Token);

        Assert.Equal(ByteSize.Zero, worker.Room.Promised);
        await RunAsync(rig, "other", "3GiB", "node=worker");
    }

    [Fact]
    public async Task What_its_policy_does_not_start_again_leaves_its_room()
    {
        // What is kept for a while would be kept for good.
        ManualTime time = ManualTime.OfNow();
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync(time: time);
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.RunAsync("job", ["true"], "node=worker", restart: "on-failure");

        await rig.UntilAsync("job", c => c.State == "exited");

        Assert.True(Assert.Single(worker.Node.Started).KeepRoom > TimeSpan.Zero);
        await rig.ConditionAsync("it is given back", () => Task.FromResult(worker.Room.Promised == ByteSize.Zero));
    }

    [Fact]
    public async Task Who_starts_by_hand_what_waits_for_its_next_start_leaves_it_waiting_where_it_is_refused()
    {
        ManualTime time = ManualTime.OfNow();
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync(time: time);
        JoinedNode worker = await rig.JoinAsync("worker");
        await RunAsync(rig, "web", "1GiB", "node=worker", "always");
        await EndAsync(rig, "web");

        Refuse(worker);
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Client.Containers.StartAsync("web", Token));
        string waiting = (await rig.Client.Containers.GetAsync("web", Token)).State;
        await rig.ConditionAsync(
            "it is started",
            () =>
            {
                // Faster than that the node would seem silent on a busy machine.
                time.Advance(TimeSpan.FromMilliseconds(100));
                return Task.FromResult(worker.Node.Started.Count == 2);
            });

        Assert.Equal((ErrorCode.NoNode, "restarting"), (refusal.Code, waiting));
    }

    [Fact]
    public async Task What_counts_its_starts_anew_after_a_while_has_its_room_kept_at_its_last_one_too()
    {
        await using ContainerLinkRig rig = await ContainerLinkRig.StartAsync();
        JoinedNode worker = await rig.JoinAsync("worker");
        await RunAsync(rig, "web", "1GiB", "node=worker", "on-failure:1");

        await rig.Client.Containers.KillAsync("web", "TERM", Token);
        await StartedAsync(rig, worker, "web", 2);

        Assert.All(worker.Node.Started, s => Assert.True(s.KeepRoom > TimeSpan.Zero));
    }

    private static async Task RunAsync(
        ContainerLinkRig rig, string name, string memory, string constraint, string? restart = null)
    {
        await rig.Client.Containers.CreateAsync(
            new ContainerRequest(
                ServerRig.Image, name, ["sleep", "600"], Memory: memory, Restart: restart, Constraints: [constraint]),
            Token);
        await rig.Client.Containers.StartAsync(name, Token);
    }

    /// <summary>Its program ends, and it waits for its next start.</summary>
    private static async Task EndAsync(ContainerLinkRig rig, string name)
    {
        await rig.Client.Containers.KillAsync(name, "TERM", Token);
        await rig.UntilAsync(name, c => c.State == "restarting");
    }

    /// <summary>What is being started is told of as running.</summary>
    private static async Task<ContainerView> StartedAsync(
        ContainerLinkRig rig, JoinedNode worker, string name, int times)
    {
        ContainerView view = null!;
        await rig.ConditionAsync(
            $"it was started {times} times",
            async () =>
            {
                view = await rig.Client.Containers.GetAsync(name, Token);
                return worker.Node.Started.Count == times && view.State == "running";
            },
            () => $"{worker.Node.Started.Count}: {view}");
        return view;
    }

    /// <summary>As they do whose room another server was given meanwhile.</summary>
    private static void Refuse(params IEnumerable<JoinedNode> workers)
    {
        foreach (JoinedNode worker in workers)
        {
            worker.Node.FailNextStart(
                new BerthException(ErrorCode.NoNode, "It is full.") { RetryAfter = TimeSpan.FromSeconds(1) });
        }
    }

    private static long? ElsewhereOf(ContainerLinkRig rig) =>
        rig.Rig0.Rooms.Register.Get("worker").Heartbeat?.ElsewhereMemory;
}
