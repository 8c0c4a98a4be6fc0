using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The flood of one function, of many callers and a slow program, does not keep another from being served.
/// Nothing is said of times here, only of answers.</summary>
[Collection("server")]
public sealed class FloodTests
{
    private const int Callers = 60;

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Of_programs_every_call_of_the_other_function_is_answered()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(
            "--max-running", "6", "--waiting-calls-limit", "30");
        await DeployAsync(server, "flood", "demo/busybox", "sleep", "1");
        await DeployAsync(server, "rare", "demo/busybox", "echo", "served");

        (List<HttpStatusCode> flood, int served) = await FloodAsync(server, ["rare"], 20, "served\n");

        Assert.Equal(20, served);
        Assert.All(flood, s => Assert.True(s is HttpStatusCode.OK or HttpStatusCode.TooManyRequests, $"{s}"));
        Assert.Contains(HttpStatusCode.OK, flood);
        Assert.Contains(HttpStatusCode.TooManyRequests, flood);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Of_instances_the_flooded_function_does_not_take_the_memory_that_others_start_with()
    {
        await using ServerProcess server = await ServiceFunctionTests.StartAsync("--instance-memory", "6Mi");
        string[] options = ["--contract", "http", "-m", "16m", "--concurrency", "1"];
        await DeployAsync(
            server, ["--max-waiting", "30", "--max-instances", "1000", .. options, "flood", "demo/service"]);
        string[] others = ["one", "two", "three", "four"];
        foreach (string other in others)
        {
            await DeployAsync(server, [.. options, "--idle", "200ms", other, "demo/service"]);
        }

        (List<HttpStatusCode> flood, int served) = await FloodAsync(server, others, 20, null);

        Assert.Equal(20, served);
        Assert.All(flood, s => Assert.True(s is HttpStatusCode.OK or HttpStatusCode.TooManyRequests, $"{s}"));
        Assert.Contains(HttpStatusCode.OK, flood);
        using JsonDocument view = JsonDocument.Parse((await server.BerthAsync("function", "get", "flood")).Succeed());
        int instances = view.RootElement.GetProperty("instances").GetArrayLength();
        Assert.True(instances < Callers, $"{instances} instances are no bound.");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>Calls the others one after the other while the flood goes on.</summary>
    /// <returns>What the flood was answered, and how many of the others' calls were served.</returns>
    private static async Task<(List<HttpStatusCode> Flood, int Served)> FloodAsync(
        ServerProcess server, string[] others, int calls, string? expected)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(Soon);
        List<HttpStatusCode> answers = [];
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task[] callers = [.. Enumerable.Range(0, Callers).Select(_ => CallOnAsync())];
        await begun.Task.WaitAsync(Soon);
        int served = 0;
        for (int i = 0; i < calls; i++)
        {
            (HttpStatusCode status, string text) = await CallAsync(server, others[i % others.Length], "/head", Soon);
            Assert.True(status == HttpStatusCode.OK, $"Call {i} was answered {status}: {text}");
            served += expected is null || text == expected ? 1 : 0;
        }

        await over.CancelAsync();
        await Task.WhenAll(callers);
        return (answers, served);

        async Task CallOnAsync()
        {
            while (!over.IsCancellationRequested)
            {
                (HttpStatusCode status, _) = await CallAsync(server, "flood", "/slow/300", Soon);
                lock (answers)
                {
                    answers.Add(status);
                    if (answers.Count >= Callers / 4)
                    {
                        begun.TrySetResult();
                    }
                }

                if (status == HttpStatusCode.TooManyRequests)
                {
                    // As a caller that was refused does; who asks again at once floods the machine, not the function.
                    await Task.Delay(TimeSpan.FromMilliseconds(100), Soon);
                }
            }
        }
    }

    private static async Task<(HttpStatusCode Status, string Text)> CallAsync(
        ServerProcess server, string function, string path, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(
            HttpMethod.Post, $"{server.Address}/v1/functions/{function}{path}");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", server.Token);
        using HttpResponseMessage answer = await server.Http.SendAsync(request, cancellationToken);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync(cancellationToken));
    }

    private static async Task DeployAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(["function", "deploy", .. arguments])).Succeed();
}
