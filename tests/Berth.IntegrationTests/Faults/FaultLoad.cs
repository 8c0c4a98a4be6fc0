using System.Net;
using Berth.Api.Runs;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// Callers of everything that a server promises something about: tasks of all kinds, calls, pushes, tokens. They go on
/// until the server ends, keep books of what was acknowledged, and check them against the next server.
/// </summary>
internal sealed class FaultLoad : IAsyncDisposable
{
    private readonly ServerProcess server;
    private readonly int seed;
    private readonly CallbackReceiver receiver = new() { RefusesFirst = true };
    private readonly List<string> called = [];
    private int count;

    /// <param name="name">Of the tasks, tokens and images of these callers.</param>
    public FaultLoad(ServerProcess server, int seed, string name = "faults")
    {
        this.server = server;
        this.seed = seed;
        receiver.BeginAnswering();
        Tasks = new TaskBook(server, name);
        Pushes = new PushBook(server, $"{name}/image", seed);
        Tokens = new TokenBook(server, name);
    }

    public TaskBook Tasks { get; }

    public PushBook Pushes { get; }

    public TokenBook Tokens { get; }

    /// <summary>Goes on until the server has ended.</summary>
    public Task RunUntilItEndsAsync() => RunUntilAsync(server.Ended);

    /// <summary>Goes on until then; what is under way at that moment comes to its end.</summary>
    public async Task RunUntilAsync(Task ended)
    {
        _ = server.Http;
        Func<Task>[] callers =
        [
            SmallTaskAsync, LargeTaskAsync, CanceledTaskAsync, KilledTaskAsync, OldTaskAsync, CallAsync,
            Pushes.StepAsync, Tokens.StepAsync,
        ];
        await Task.WhenAll(callers.Select(step => RepeatAsync(ended, step)));
    }

    /// <summary>Against a server that runs: everything acknowledged is true, nothing happened twice, nothing else is
    /// there.</summary>
    public async Task IsTrueAsync()
    {
        await Tasks.SettleAsync();
        await Tasks.IsTrueAsync();
        await Pushes.IsTrueAsync();
        await Tokens.IsTrueAsync();
        await Condition.HoldsAsync(
            "every callback was delivered",
            () => called.All(id => receiver.Deliveries.Any(d => d.Key == id)));
        Assert.All(receiver.Deliveries.Distinct().GroupBy(d => d.Key), bodies => Assert.Single(bodies));
        await ServerTraces.AreOnlySandboxesAsync(server);
    }

    /// <summary>Waits until every run the server knows has an end.</summary>
    public Task AllEndAsync() => Condition.HoldsAsync(
        "every run has an end",
        async () =>
        {
            foreach (string state in (string[])["queued", "starting", "running"])
            {
                string page = await server.Http.GetStringAsync($"/v1/runs?state={state}&limit=5");
                if (System.Text.Json.JsonSerializer.Deserialize(page, RunJson.Default.RunPage)!.Runs is [var run, ..])
                {
                    await ReadAsync(run.Id, "?wait=1s");
                    return run.ToString();
                }
            }

            return null;
        });

    public ValueTask DisposeAsync() => receiver.DisposeAsync();

    private async Task RepeatAsync(Task ended, Func<Task> step)
    {
        while (!ended.IsCompleted)
        {
            try
            {
                await step();
            }
            catch (Exception error) when (ConnectionLoss.IsIn(error))
            {
                // It was killed, or refuses since it stops; the books know what is in doubt.
                await Task.WhenAny(ended, Task.Delay(TimeSpan.FromMilliseconds(20)));
            }
            catch
            {
                // The test has failed; the other callers need not go on.
                ServerProcess.TrySignal(server.Pid, 9);
                throw;
            }
        }
    }

    private int Next() => Interlocked.Increment(ref count);

    private async Task SmallTaskAsync()
    {
        int number = Next();
        // Now and then one that is told of to somebody.
        Uri? callback = number % 4 == 0 ? receiver.Address : null;
        string? id = await Tasks.TrySubmitAsync(
            $"s{number}", TaskBook.Bytes(seed + number, 500), "echo up >&2; exec cat", callback);
        if (id is not null && callback is not null)
        {
            called.Add(id);
        }

        await EndsAsync(id);
    }

    private async Task LargeTaskAsync()
    {
        int number = Next();
        await EndsAsync(await Tasks.TrySubmitAsync($"l{number}", TaskBook.Bytes(seed + number, 200_000), null));
    }

    /// <summary>One whose sandbox is killed from outside while it runs.</summary>
    private async Task KilledTaskAsync()
    {
        int number = Next();
        string? id = await Tasks.TrySubmitAsync(
            $"k{number}", TaskBook.Bytes(seed + number, 100), "cat; sleep 0.3");
        if (id is null)
        {
            return;
        }

        await RunsAsync(id);
        foreach (int init in ServerTraces.Inits(server))
        {
            ServerProcess.TrySignal(init, 9);
        }

        await EndsAsync(id);
    }

    /// <summary>Every other one is canceled while it waits.</summary>
    private async Task CanceledTaskAsync()
    {
        int number = Next();
        string id = await SubmitAsync("canceled", "sleep 1", null);
        if (number % 2 == 0)
        {
            await RunsAsync(id);
        }

        using HttpResponseMessage canceled = await server.Http.PostAsync($"/v1/runs/{id}/cancel", null);
        Refused(canceled);
        await EndsAsync(id);
    }

    private async Task OldTaskAsync()
    {
        // Behind what takes all places for longer than it may wait.
        string[] before = await Task.WhenAll(
            Enumerable.Range(0, 3).Select(_ => SubmitAsync("before", "sleep 1.3", null)));
        string id = await SubmitAsync("old", "true", "200ms");
        await EndsAsync(id);
        foreach (string other in before)
        {
            await EndsAsync(other);
        }
    }

    private async Task CallAsync()
    {
        byte[] body = TaskBook.Bytes(seed + Next(), 2000);
        using HttpResponseMessage answer = await server.Http.PostAsync(
            "/v1/call/demo/busybox", new ByteArrayContent(body));
        Refused(answer);
        if (answer.StatusCode == HttpStatusCode.OK)
        {
            Assert.Equal(body, await answer.Content.ReadAsByteArrayAsync());
        }
    }

    private async Task<string> SubmitAsync(string label, string script, string? age)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/tasks/demo/busybox");
        request.Headers.Add("Berth-Label", $"other={label}");
        request.Headers.Add("Berth-Arg", ["sh", "-c", Uri.EscapeDataString(script)]);
        if (age is not null)
        {
            request.Headers.Add("Berth-Max-Age", age);
        }

        using HttpResponseMessage answer = await server.Http.SendAsync(request);
        Refused(answer);
        return answer.Headers.Location!.OriginalString.Split('/')[^1];
    }

    /// <summary>As many end as are begun, so that no queue builds up from kill to kill.</summary>
    private async Task EndsAsync(string? id)
    {
        while (id is not null && (await ReadAsync(id, "?wait=5s")).EndedAt is null)
        {
            // Its turn comes.
        }
    }

    private async Task RunsAsync(string id)
    {
        while ((await ReadAsync(id, "?wait=20ms")).State is "queued" or "starting")
        {
            // Its turn comes.
        }
    }

    private async Task<RunView> ReadAsync(string id, string query)
    {
        using HttpResponseMessage answer = await server.Http.GetAsync($"/v1/runs/{id}{query}");
        Refused(answer);
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{id}: {text}");
        return System.Text.Json.JsonSerializer.Deserialize(text, RunJson.Default.RunView)!;
    }

    /// <summary>The answers a server may give that is about to stop, or whose node a kill has just touched.</summary>
    private static void Refused(HttpResponseMessage answer)
    {
        if (answer.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.TooManyRequests
            or HttpStatusCode.BadGateway)
        {
            throw new HttpRequestException($"The server refuses: {(int)answer.StatusCode}.");
        }
    }
}
