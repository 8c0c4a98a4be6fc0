using System.Net;
using Berth.Api.Runs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// kill -9 of the server at each step of a task's life. What was accepted comes to exactly one end with its whole
/// result, what was not accepted has never been, and nothing is left behind.
/// </summary>
[Collection("server")]
public sealed class KilledRunTests
{
    // Sandboxes are made only for runs, so that a control group means that one is being prepared.
    private static readonly string[] Flags = ["--pool-memory", "0", "--callback-allow", "127.0.0.1"];

    private const int Large = 2_000_000;

    [Fact]
    public async Task Before_its_input_was_taken_a_task_has_never_been()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        TaskBook book = new(server, "input");
        byte[] body = TaskBook.Bytes(1, Large);
        TaskCompletionSource letGo = new();
        using HttpRequestMessage half = book.Request(
            "half", new HeldContent(body.AsMemory(0, Large / 2), letGo.Task), null);

        Task<HttpResponseMessage> sending = server.Http.SendAsync(half);
        await Condition.HoldsAsync("half of the input is in the spool", () => Spooled(server, "input.tmp") > 0);
        await KillAndStartAsync(server);
        letGo.SetCanceled();

        await Assert.ThrowsAnyAsync<Exception>(() => sending);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(server.Data, "spool")));
        Assert.Empty(await book.RunsAsync());
        await book.SubmitAsync("half", body);
        await book.IsTrueAsync();
        await EndAsync(server);
    }

    [Fact]
    public async Task After_its_202_a_task_is_run_and_its_key_is_known()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        TaskBook book = new(server, "accepted");
        byte[] small = TaskBook.Bytes(2, 1000);
        byte[] large = TaskBook.Bytes(3, Large);
        string first = await book.SubmitAsync("small", small, "sleep 1; exec cat");
        await book.SubmitAsync("large", large);

        await KillAndStartAsync(server);

        Assert.Equal(first, await book.SubmitAsync("small", small, "sleep 1; exec cat"));
        using HttpRequestMessage other = book.Request("small", new ByteArrayContent(large), "sleep 1; exec cat");
        using HttpResponseMessage conflict = await server.Http.SendAsync(other);
        Assert.Equal(HttpStatusCode.Conflict, conflict.StatusCode);
        await EndAsync(server, book);
    }

    [Fact]
    public async Task While_it_is_prepared_runs_writes_and_is_stored()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        TaskBook book = new(server, "steps");
        byte[] body = TaskBook.Bytes(4, Large);
        const string Script = "echo up >&2; cat; sleep 1";

        await StepAsync("prepared", _ => ServerTraces.ControlGroups(server).Count > 0);
        await StepAsync("made", _ => Exists($"/run/berth/{server.Instance}/runc", "state.json"));
        await StepAsync("started", id => Exists(Path.Combine(server.Data, "logs", id), "000000.log"));
        await StepAsync("written", id => Spooled(server, "result-*.tmp", id) > 500_000);
        await StepAsync("stored", id => Spooled(server, "result-?", id) + Spooled(server, "result-??", id) > 0);
        await EndAsync(server, book);

        async Task StepAsync(string step, Func<string, bool> reached)
        {
            string id = await book.SubmitAsync(step, body, Script);
            await Condition.HoldsAsync($"the task is {step}", () => reached(id));
            await KillAndStartAsync(server);
            await book.EndAsync(id);
            await Condition.HoldsAsync("its sandbox is gone", () => ServerTraces.ControlGroups(server).Count == 0);
        }
    }

    [Fact]
    public async Task After_its_end_nothing_of_it_changes()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        TaskBook book = new(server, "ended");
        string id = await book.SubmitAsync("ended", TaskBook.Bytes(5, Large));
        RunView before = await book.EndAsync(id);

        await KillAndStartAsync(server);
        RunView after = await book.FindAsync(id);

        Assert.Equal(before with { Labels = after.Labels }, after);
        Assert.Equal(1, after.Attempts);
        await EndAsync(server, book);
    }

    [Fact]
    public async Task While_its_callback_is_delivered()
    {
        await using CallbackReceiver receiver = new();
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        TaskBook book = new(server, "callback");
        string id = await book.SubmitAsync("callback", TaskBook.Bytes(6, 1000), null, receiver.Address);
        await Condition.HoldsAsync("the callback arrives", () => !receiver.Deliveries.IsEmpty);

        await KillAndStartAsync(server);
        await Condition.HoldsAsync("it arrives again", () => receiver.Deliveries.Count > 1);
        receiver.BeginAnswering();
        await Condition.HoldsAsync("it is known to be delivered", async () =>
            (await book.WhyAsync(id)).Events.Any(e => e.Type == "callback_delivered") ? null : "no such event");
        await KillAndStartAsync(server);

        await EndAsync(server, book);
        Assert.Single(receiver.Deliveries.Distinct());
        Assert.Equal(id, receiver.Deliveries.First().Key);
    }

    [Fact]
    public async Task A_killed_sandbox_is_a_fault_of_the_platform_and_tried_again()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(Flags);
        TaskBook book = new(server, "init");
        string id = await book.SubmitAsync("init", TaskBook.Bytes(8, 1000), "echo up >&2; cat; sleep 1");
        await Condition.HoldsAsync(
            "the program runs", () => Exists(Path.Combine(server.Data, "logs", id), "000000.log"));

        ServerProcess.Signal(ServerTraces.Inits(server).Single(), 9);

        Assert.Equal(2, (await book.EndAsync(id)).Attempts);
        await EndAsync(server, book);
    }

    [Fact]
    public async Task At_any_moment_under_load()
    {
        int seed = Seed.Choose();
        Random random = new(seed);
        await using ServerProcess server = await BusyboxServer.StartAsync();
        TaskBook book = new(server, "load");
        string?[] scripts = [null, "sleep 0.2; exec cat", "cat; sleep 0.1", "cat; echo done >&2"];
        const int Tasks = 48;
        using SemaphoreSlim callers = new(6);
        int[] sizes = [.. Enumerable.Range(0, Tasks).Select(
            _ => random.Next(3) == 0 ? random.Next(600_000) : random.Next(2000))];

        Task[] all = [.. Enumerable.Range(0, Tasks).Select(async i =>
        {
            await callers.WaitAsync();
            try
            {
                await book.SubmitThroughKillsAsync(
                    $"t{i}", TaskBook.Bytes(seed + i, sizes[i]), scripts[i % scripts.Length]);
            }
            finally
            {
                callers.Release();
            }
        })];
        for (int kill = 1; kill <= 3; kill++)
        {
            int enough = kill * Tasks / 4;
            await Condition.HoldsAsync(
                $"{enough} tasks are accepted", () => book.Accepted >= enough || all.Any(t => t.IsFaulted));
            await Task.Delay(random.Next(150));
            await server.KillAsync();
            await server.StartAsync();
        }

        await Task.WhenAll(all);
        Assert.Equal(Tasks, book.Accepted);
        await EndAsync(server, book);
    }

    private static async Task KillAndStartAsync(ServerProcess server)
    {
        await server.KillAsync();
        await server.StartAsync(Flags);
    }

    private static async Task EndAsync(ServerProcess server, TaskBook? book = null)
    {
        if (book is not null)
        {
            await book.IsTrueAsync();
            await ServerTraces.AreOnlySandboxesAsync(server);
        }

        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>Bytes in files of the spool with such a name.</summary>
    private static long Spooled(ServerProcess server, string name, string run = "")
    {
        DirectoryInfo folder = new(Path.Combine(server.Data, "spool", run));
        return folder.Exists
            ? folder.EnumerateFiles(name, SearchOption.AllDirectories).Sum(file => file.Exists ? file.Length : 0)
            : 0;
    }

    private static bool Exists(string folder, string name) =>
        Directory.Exists(folder) && Directory.EnumerateFiles(folder, name, SearchOption.AllDirectories).Any();
}
