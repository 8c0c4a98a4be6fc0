using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Berth.Api.Runs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// What docs/operations/upgrades.md says, of two servers with one PostgreSQL: their programs and a node's are replaced
/// in turn, while tasks come and functions are called through what stands in front of both.
/// </summary>
[Collection("containers")]
public sealed class SharedUpgradeTests : IAsyncLifetime
{
    /// <summary>Between two steps of a caller: machines are not full.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(30);

    /// <summary>So many answers each caller has between two replacements.</summary>
    private const int Steps = 2;

    private readonly Dictionary<ServerProcess, HttpClient> doors = [];
    private readonly List<Caller> callers = [];
    private TwoServers servers = null!;
    private TaskBook book = null!;
    private volatile ServerProcess? replaced;

    public async ValueTask InitializeAsync()
    {
        servers = await TwoServers.StartAsync();
        book = new TaskBook(servers.One, "upgrade");
        foreach (ServerProcess server in servers.Servers)
        {
            doors[server] = new HttpClient(new SocketsHttpHandler { UseProxy = false })
            {
                BaseAddress = new Uri(server.Address),
                DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", server.Token) },
            };
        }

        (await servers.One.BerthAsync("function", "deploy", "up", "demo/busybox", "tr", "a-z", "A-Z")).Succeed();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (HttpClient door in doors.Values)
        {
            door.Dispose();
        }

        await servers.DisposeAsync();
    }

    [Fact]
    public async Task Every_program_is_replaced_in_turn_and_neither_a_task_nor_a_caller_notices()
    {
        using CancellationTokenSource over = new();
        foreach (ServerProcess server in servers.Servers)
        {
            Begin(server, CallAsync, over.Token);
            Begin(server, SubmitAsync, over.Token);
        }

        foreach (ServerProcess server in servers.Servers)
        {
            await AllGoOnAsync();
            await ReplaceAsync(server);
        }

        await AllGoOnAsync();
        await ReplaceAsync(servers.Nodes[0]);
        await AllGoOnAsync();
        await over.CancelAsync();
        await Task.WhenAll(callers.Select(caller => caller.Work));

        await book.IsTrueAsync();
        Assert.All(await book.RunsAsync(), run => Assert.Equal(1, run.Attempts));
        foreach (ServerProcess server in servers.Servers)
        {
            Assert.Equal(0, await server.StopAsync());
            await ServerTraces.AreGoneAsync(server);
        }
    }

    private async Task ReplaceAsync(ServerProcess server)
    {
        replaced = server;
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
        // From when it says that it is ready it takes everything, though nodes have still to dial it.
        await servers.StartAsync(server);
        replaced = null;
        foreach (MachineProcess node in servers.Nodes)
        {
            await TwoServers.LinkedAsync(server, node.Name);
        }
    }

    private async Task ReplaceAsync(MachineProcess node)
    {
        (await servers.Two.BerthAsync("node", "drain", node.Name)).Succeed();
        await node.StopAsync();
        servers.Start(node);
        foreach (ServerProcess server in servers.Servers)
        {
            await TwoServers.LinkedAsync(server, node.Name);
        }

        (await servers.Two.BerthAsync("node", "uncordon", node.Name)).Succeed();
    }

    private void Begin(
        ServerProcess first, Func<ServerProcess, string, Task> step, CancellationToken over)
    {
        Caller caller = new();
        string name = string.Create(CultureInfo.InvariantCulture, $"caller-{callers.Count}");
        callers.Add(caller);
        caller.Work = Task.Run(RepeatAsync, CancellationToken.None);

        async Task RepeatAsync()
        {
            for (int i = 0; !over.IsCancellationRequested; i++)
            {
                await step(first, string.Create(CultureInfo.InvariantCulture, $"{name}-{i}"));
                caller.Answers = i + 1;
                await Task.Delay(Pace, CancellationToken.None);
            }
        }
    }

    private async Task AllGoOnAsync()
    {
        int[] before = [.. callers.Select(caller => caller.Answers)];
        await Condition.HoldsAsync("every caller has had answers", async () =>
        {
            if (callers.Find(caller => caller.Work.IsFaulted) is { } failed)
            {
                await failed.Work;
            }

            int[] now = [.. callers.Select(caller => caller.Answers)];
            return now.Zip(before).All(pair => pair.First >= pair.Second + Steps) ? null : string.Join(", ", now);
        });
    }

    private async Task CallAsync(ServerProcess first, string text)
    {
        string answer = await AskAsync(first, async server =>
        {
            try
            {
                using HttpResponseMessage told = await doors[server].PostAsync(
                    "/v1/functions/up", new StringContent(text));
                string body = await told.Content.ReadAsStringAsync();
                bool isRefusal = told.StatusCode == HttpStatusCode.ServiceUnavailable
                    && body.Contains("shutting_down", StringComparison.Ordinal) && told.Headers.RetryAfter is not null;
                Assert.True(told.IsSuccessStatusCode || isRefusal, $"{server.Host}: {told}{body}");
                return isRefusal ? new Outcome<string>(null, body) : new Outcome<string>(body, "");
            }
            catch (HttpRequestException error) when (error.HttpRequestError == HttpRequestError.ConnectionError)
            {
                return new Outcome<string>(null, error.Message);
            }
        });
        Assert.Equal(text.ToUpperInvariant(), answer);
    }

    /// <summary>Hands a task in and follows it to its end.</summary>
    private async Task SubmitAsync(ServerProcess first, string key)
    {
        byte[] body = TaskBook.Bytes(key.GetHashCode(StringComparison.Ordinal), 500);
        string id = await AskAsync(first, async server => new Outcome<string>(
            await book.TrySubmitAsync(key, body, "cat; sleep 0.3", at: server), "no answer"));
        while (await AskAsync(first, server => FindAsync(server, id)) is { EndedAt: null })
        {
            // Its turn comes.
        }
    }

    private async Task<Outcome<RunView>> FindAsync(ServerProcess server, string id)
    {
        try
        {
            using HttpResponseMessage told = await doors[server].GetAsync($"/v1/runs/{id}?wait=2s");
            string body = await told.Content.ReadAsStringAsync();
            return new Outcome<RunView>(
                told.IsSuccessStatusCode ? JsonSerializer.Deserialize(body, RunJson.Default.RunView) : null, body);
        }
        catch (Exception error) when (ConnectionLoss.IsIn(error))
        {
            return new Outcome<RunView>(null, error.ToString());
        }
    }

    /// <summary>Asks one server, and the other where that is being replaced and takes nothing.</summary>
    private async Task<T> AskAsync<T>(ServerProcess first, Func<ServerProcess, Task<Outcome<T>>> ask)
        where T : class
    {
        while (true)
        {
            foreach (ServerProcess server in servers.Servers.OrderBy(server => server != first))
            {
                bool mayRefuse = server == replaced;
                Outcome<T> outcome = await ask(server);
                if (outcome.Answer is { } answer)
                {
                    return answer;
                }

                Assert.True(
                    mayRefuse || server == replaced,
                    $"{server.Host} refused, and stays: {outcome.Refusal}\n{server.Log}");
            }
        }
    }

    /// <param name="Answer">Null where it was refused.</param>
    private sealed record Outcome<T>(T? Answer, string Refusal);

    private sealed class Caller
    {
        private volatile int answers;

        public Task Work { get; set; } = Task.CompletedTask;

        public int Answers
        {
            get => answers;
            set => answers = value;
        }
    }
}
