using System.Text;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Containers;

/// <summary>The life of a container, by the client over HTTP.</summary>
public sealed class ContainerTests
{
    [Fact]
    public async Task A_container_is_made_started_stopped_started_again_and_removed()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();

        ContainerView made = await rig.CreateAsync("web", "sleep", "600");
        ContainerView started = await rig.Containers.StartAsync("web", CancellationToken.None);
        ContainerView again = await rig.Containers.StartAsync(made.Id[..6], CancellationToken.None);
        ContainerView stopped = await rig.Containers.StopAsync("web", null, CancellationToken.None);
        ContainerView twice = await rig.Containers.StartAsync(made.Id, CancellationToken.None);
        await rig.Containers.RemoveAsync("web", force: true, volumes: false, CancellationToken.None);

        Assert.Equal("created", made.State);
        Assert.Equal(("running", started.Run), (started.State, again.Run));
        Assert.Equal(("exited", 143), (stopped.State, stopped.ExitCode));
        Assert.Equal("running", twice.State);
        Assert.NotEqual(started.Run, twice.Run);
        BerthException gone = await Assert.ThrowsAsync<BerthException>(() => rig.GetAsync("web"));
        Assert.Equal(ErrorCode.NotFound, gone.Code);
        Assert.Empty(await rig.Server.Node.Storage.LayersAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Each_start_is_a_run_with_its_own_end_and_use()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        ContainerView started = await rig.RunAsync(new ContainerRequest(Name: "job", Command: ["sh", "-c", "exit 3"]));

        ContainerView ended = await rig.UntilAsync("job", c => c.State == "exited");
        RunView run = await rig.Client.Runs.GetAsync(started.Run!, CancellationToken.None);

        Assert.Equal((3, "exit_code"), (ended.ExitCode, ended.Reason));
        Assert.Equal(("container", "failed", 3), (run.Kind, run.State, run.ExitCode));
        Assert.Equal("job", run.Labels["container"]);
        Assert.NotNull(run.Usage);
    }

    [Fact]
    public async Task A_run_of_a_container_is_ended_by_stopping_the_container()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        ContainerView started = await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => rig.Client.Runs.CancelAsync(started.Run!, CancellationToken.None));

        Assert.Equal(ErrorCode.Conflict, refused.Code);
        Assert.Contains("stop the container", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_it_writes_is_kept_over_its_starts_with_both_streams()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "job", Command: ["sh", "-c", "echo one; echo two >&2"]));
        await rig.UntilAsync("job", c => c.State == "exited");
        await rig.Containers.StartAsync("job", CancellationToken.None);
        await rig.UntilAsync("job", c => c.State == "exited");

        string log = await rig.LogAsync("job");
        string errors = await rig.Server.Client.GetStringAsync("/v1/containers/job/logs?stream=stderr");

        Assert.Equal(["one", "one", "two", "two"], log.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order());
        Assert.Equal("two\ntwo\n", errors);
    }

    [Fact]
    public async Task A_followed_log_ends_with_the_container()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sh", "-c", "echo ready; sleep 600"]));
        await using Stream log = await rig.Containers.OpenLogsAsync(
            "web", new LogOptions(Follow: true), CancellationToken.None);
        byte[] head = new byte[5 + 6];
        await log.ReadExactlyAsync(head);

        await rig.Containers.StopAsync("web", TimeSpan.Zero, CancellationToken.None);

        Assert.Equal("\u0001\0\0\0\u0006ready\n", Encoding.ASCII.GetString(head));
        Assert.Equal(0, await log.ReadAsync(head));
    }

    [Fact]
    public async Task Names_are_unique_and_ids_may_be_cut_short()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        ContainerView first = await rig.CreateAsync("web", "true");
        ContainerView other = await rig.CreateAsync(new ContainerRequest());

        BerthException taken = await Assert.ThrowsAsync<BerthException>(() => rig.CreateAsync("web", "true"));
        BerthException renamed = await Assert.ThrowsAsync<BerthException>(
            () => rig.Containers.RenameAsync(other.Name, "web", CancellationToken.None));
        ContainerView free = await rig.Containers.RenameAsync("web", "front", CancellationToken.None);

        Assert.Equal((ErrorCode.Conflict, ErrorCode.Conflict), (taken.Code, renamed.Code));
        Assert.Contains(first.Id, taken.Message, StringComparison.Ordinal);
        Assert.Equal("front", free.Name);
        Assert.Equal(first.Id, (await rig.GetAsync(first.Id[..5])).Id);
        Assert.Matches("^[a-z]+_[a-z]+$", other.Name);
    }

    [Fact]
    public async Task One_that_keeps_failing_is_started_again_with_its_restarts_counted()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();

        await rig.RunAsync(new ContainerRequest(Name: "job", Command: ["false"], Restart: "on-failure:2"));
        ContainerView ended = await rig.UntilAsync("job", c => c is { State: "exited", Restarts: 2 });

        Assert.Equal(1, ended.ExitCode);
        Assert.Equal(3, rig.Server.Node.Started.Count);
    }

    [Fact]
    public async Task Stopping_one_that_waits_for_its_restart_ends_it()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "job", Command: ["false"], Restart: "always"));
        await rig.UntilAsync("job", c => c is { State: "restarting", Restarts: >= 2 });

        ContainerView stopped = await rig.Containers.StopAsync("job", null, CancellationToken.None);
        int starts = rig.Server.Node.Started.Count;

        Assert.Equal("exited", stopped.State);
        await rig.Containers.RemoveAsync("job", force: false, volumes: false, CancellationToken.None);
        Assert.Equal(starts, rig.Server.Node.Started.Count);
    }

    [Fact]
    public async Task One_that_is_to_be_removed_goes_with_its_end()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();

        await rig.RunAsync(new ContainerRequest(
            Name: "job", Command: ["true"], AutoRemove: true, Mounts: [new MountView("volume", null, "/data")]));

        await Assert.ThrowsAsync<BerthException>(() => rig.UntilAsync("job", _ => false));
        Assert.Empty(await rig.Client.Volumes.ListAsync(CancellationToken.None));
    }

    [Fact]
    public async Task A_paused_one_stands_still_runs_nothing_and_goes_on()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        ContainerView paused = await rig.Containers.PauseAsync("web", CancellationToken.None);
        BerthException twice = await Assert.ThrowsAsync<BerthException>(
            () => rig.Containers.PauseAsync("web", CancellationToken.None));
        BerthException exec = await Assert.ThrowsAsync<BerthException>(
            () => rig.Containers.ExecuteAsync("web", new ExecRequest(["true"]), null, CancellationToken.None));
        ContainerView resumed = await rig.Containers.ResumeAsync("web", CancellationToken.None);

        Assert.Equal(("paused", "running"), (paused.State, resumed.State));
        Assert.Equal((ErrorCode.Conflict, ErrorCode.Conflict), (twice.Code, exec.Code));
    }

    [Fact]
    public async Task A_running_one_is_not_removed_without_force()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => rig.Containers.RemoveAsync("web", force: false, volumes: false, CancellationToken.None));

        Assert.Equal(ErrorCode.Conflict, refused.Code);
    }

    [Fact]
    public async Task A_command_that_is_not_there_is_told_and_leaves_it_as_it_was()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.CreateAsync("job", "no-such-program");

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => rig.Containers.StartAsync("job", CancellationToken.None));

        Assert.Equal(ErrorCode.RunEntryPointMissing, refused.Code);
        Assert.Equal("created", (await rig.GetAsync("job")).State);
    }

    [Fact]
    public async Task No_more_run_than_may()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync(most: 1);
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => rig.RunAsync(new ContainerRequest(Name: "db", Command: ["sleep", "600"])));
        await rig.Containers.StopAsync("web", TimeSpan.Zero, CancellationToken.None);
        ContainerView then = await rig.Containers.StartAsync("db", CancellationToken.None);

        Assert.Equal(ErrorCode.QueueFull, refused.Code);
        Assert.Equal("running", then.State);
    }

    [Fact]
    public async Task The_next_server_knows_them_and_starts_what_its_policy_says()
    {
        using TemporaryFolder folder = new();
        await using (ContainerRig rig = await ContainerRig.StartAsync(folder))
        {
            await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"], Restart: "always"));
            await rig.RunAsync(new ContainerRequest(Name: "job", Command: ["sleep", "600"]));
            await rig.RunAsync(new ContainerRequest(
                Name: "off", Command: ["sleep", "600"], Restart: "unless-stopped"));
            await rig.Containers.StopAsync("off", TimeSpan.Zero, CancellationToken.None);
        }

        await using ContainerRig next = await ContainerRig.StartAsync(folder);

        await next.UntilAsync("web", c => c.State == "running");
        Assert.Equal("exited", (await next.GetAsync("job")).State);
        Assert.Equal("exited", (await next.GetAsync("off")).State);
    }

    [Fact]
    public async Task Lists_are_filtered_and_paged()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        for (int i = 0; i < 5; i++)
        {
            await rig.CreateAsync(new ContainerRequest(
                Name: $"job{i}", Labels: new Dictionary<string, string> { ["n"] = $"{i % 2}" }));
        }

        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        Assert.Equal(["web"], await NamesAsync(rig, new ContainerFilter()));
        Assert.Equal(
            ["web", "job4", "job3", "job2", "job1", "job0"], await NamesAsync(rig, new ContainerFilter(All: true)));
        Assert.Equal(["job3", "job1"], await NamesAsync(rig, new ContainerFilter(All: true, Label: "n=1")));
        Assert.Equal(5, (await NamesAsync(rig, new ContainerFilter(State: "created"))).Count);
        ContainerPage page = await PageAsync(rig, "?all=true&limit=4");
        ContainerPage rest = await PageAsync(rig, "?all=true&limit=4&cursor=" + page.Next);
        Assert.Equal(["job1", "job0"], rest.Containers.Select(c => c.Name));
        Assert.Null(rest.Next);
    }

    [Fact]
    public async Task A_thousand_are_listed_on_one_page()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await Task.WhenAll(Enumerable.Range(0, 1000).Select(i => rig.CreateAsync($"job{i}", "true")));

        Assert.Equal(1000, (await NamesAsync(rig, new ContainerFilter(All: true))).Count);
    }

    [Fact]
    public async Task A_volume_outlasts_its_container_and_goes_when_nobody_has_it()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(
            Name: "db", Command: ["sleep", "600"], Mounts: [new MountView("volume", "data", "/data")]));

        BerthException used = await Assert.ThrowsAsync<BerthException>(
            () => rig.Client.Volumes.RemoveAsync("data", CancellationToken.None));
        await rig.Containers.RemoveAsync("db", force: true, volumes: true, CancellationToken.None);
        VolumeView left = Assert.Single(await rig.Client.Volumes.ListAsync(CancellationToken.None));
        await rig.Client.Volumes.RemoveAsync("data", CancellationToken.None);

        Assert.Equal(ErrorCode.Conflict, used.Code);
        Assert.Contains("db", used.Message, StringComparison.Ordinal);
        Assert.Equal(("data", 0), (left.Name, left.Containers.Count));
        Assert.Empty(await rig.Client.Volumes.ListAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Pruning_takes_what_has_ended_and_leaves_what_runs()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(
            Name: "web", Command: ["sleep", "600"], Mounts: [new MountView("volume", "pages", "/srv")]));
        await rig.RunAsync(new ContainerRequest(Name: "job", Command: ["true"]));
        await rig.UntilAsync("job", c => c.State == "exited");
        await rig.Client.Volumes.CreateAsync(new("old"), CancellationToken.None);

        SystemPruneResult result = await rig.Client.Volumes.PruneAsync(volumes: true, CancellationToken.None);
        SystemUsage usage = await rig.Client.Volumes.UsageAsync(CancellationToken.None);

        Assert.Equal(["job"], result.Containers);
        Assert.Equal(["old"], result.Volumes);
        Assert.Equal(
            [("images", 1, 1), ("containers", 1, 1), ("volumes", 1, 1)],
            usage.Usage.Select(u => (u.Kind, u.Count, u.Active)));
    }

    private static async Task<List<string>> NamesAsync(ContainerRig rig, ContainerFilter filter) =>
        await rig.Containers.ListAsync(filter, CancellationToken.None).Select(c => c.Name).ToListAsync();

    private static async Task<ContainerPage> PageAsync(ContainerRig rig, string query) =>
        System.Text.Json.JsonSerializer.Deserialize(
            await rig.Server.Client.GetByteArrayAsync("/v1/containers" + query),
            ContainerJson.Default.ContainerPage)!;
}
