using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Server.Access;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>One caller who sends far more than there is room for, and another who sends a little: the other is answered
/// all of it, every second turn, and the first is told to come back later.</summary>
public sealed class FloodTests
{
    private const int Waiting = 20;
    private const int Excess = 30;
    private const int Few = 5;

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("/v1/call/" + ServerRig.Image)]
    [InlineData("/v1/functions/echo")]
    [InlineData("/v1/functions/limited")]
    public async Task A_flood_of_calls_keeps_no_other_caller_back(string path)
    {
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { MaxRunning = 1, WaitingCallsLimit = Waiting });
        await DeployAsync(rig, "echo", new FunctionRequest(ServerRig.Image));
        await DeployAsync(
            rig, "limited", new FunctionRequest(ServerRig.Image, MaxRunning: 1, MaxWaiting: Waiting));
        Action release = rig.Node.HoldStarts();

        await FloodAsync(rig, path, () =>
        {
            release();
            return Task.CompletedTask;
        });

        Assert.Equal(Turns, rig.Node.Started.Select(a => a.Environment["QUERY_STRING"]));
    }

    [Fact]
    public async Task A_flood_of_requests_to_instances_keeps_no_other_caller_back()
    {
        using PlayedProgram program = new();
        await using ServerRig rig = await ServerRig.StartAsync();
        await DeployAsync(
            rig, "svc", new FunctionRequest(
                ServerRig.Image, ["sleep", "600"], Contract: "http", Port: program.Port, Concurrency: 1,
                MinInstances: 1, MaxInstances: 1, MaxWaiting: Waiting));

        await FloodAsync(
            rig, "/v1/functions/svc/", program.ReleaseAsync, () => !program.Queries.IsEmpty);

        Assert.Equal(Turns, program.Queries);
    }

    /// <summary>The one that was under way, then each in turn until one has no more.</summary>
    private static IEnumerable<string> Turns =>
    [
        "flood",
        .. Enumerable.Range(0, Few).SelectMany(_ => (string[])["flood", "few"]),
        .. Enumerable.Repeat("flood", Waiting - Few - Few),
    ];

    /// <param name="begun">Whether the first one is under way; null where it is at once.</param>
    private static async Task FloodAsync(
        ServerRig rig, string path, Func<Task> release, Func<bool>? begun = null)
    {
        using HttpClient flood = ClientOf(rig, "flood");
        using HttpClient few = ClientOf(rig, "few");
        ConcurrentBag<HttpResponseMessage> refused = [];
        List<Task<HttpResponseMessage>> flooding = [SendAsync(flood, path + "?flood", refused)];
        if (begun is not null)
        {
            await Eventually.HoldsAsync("the first one is under way", begun);
        }

        for (int i = 0; i < Waiting + Excess; i++)
        {
            flooding.Add(SendAsync(flood, path + "?flood", refused));
        }

        await Eventually.HoldsAsync(
            "what finds no room is refused", () => flooding.Count(t => t.IsCompleted) >= Excess);
        foreach (Task<HttpResponseMessage> early in flooding.Where(t => t.IsCompleted))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, (await early).StatusCode);
        }

        Assert.Equal(Excess, refused.Count);
        List<Task<HttpResponseMessage>> answers = [];
        for (int i = 1; i <= Few; i++)
        {
            answers.Add(SendAsync(few, path + "?few", refused));
            await Eventually.HoldsAsync("one of the flood makes room", () => refused.Count == Excess + i);
        }

        await release();
        Assert.All(await Task.WhenAll(answers), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        HttpResponseMessage[] all = await Task.WhenAll(flooding);
        Assert.Equal(1 + Waiting - Few, all.Count(a => a.StatusCode == HttpStatusCode.OK));
        Assert.Equal(Excess + Few, refused.Count);
        foreach (HttpResponseMessage refusal in refused)
        {
            await refusal.ProblemAsync(429, "queue_full");
            Assert.NotNull(refusal.Headers.RetryAfter);
        }
    }

    private static async Task<HttpResponseMessage> SendAsync(
        HttpClient client, string path, ConcurrentBag<HttpResponseMessage> refused)
    {
        HttpResponseMessage answer = await client.PostAsync(path, null, Soon);
        if (answer.StatusCode == HttpStatusCode.TooManyRequests)
        {
            refused.Add(answer);
        }

        return answer;
    }

    private static HttpClient ClientOf(ServerRig rig, string name) =>
        rig.ClientWith(rig.Server.Rooms.Tokens.Create(name, Role.User, null).Secret);

    private static async Task DeployAsync(ServerRig rig, string name, FunctionRequest request)
    {
        using BerthClient client = new(rig.Address, rig.AdminToken, TimeProvider.System);
        await client.Functions.DeployAsync(name, request, Soon);
    }

    /// <summary>What listens in an instance: answers each request once it may.</summary>
    private sealed class PlayedProgram : IDisposable
    {
        private static readonly byte[] Answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"u8.ToArray();

        private readonly TcpListener listener = new(IPAddress.Loopback, 0);
        private readonly TaskCompletionSource released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public PlayedProgram()
        {
            listener.Start();
            _ = AcceptAsync();
        }

        public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

        /// <summary>Of the requests, in their order.</summary>
        public ConcurrentQueue<string> Queries { get; } = new();

        public Task ReleaseAsync()
        {
            released.SetResult();
            return Task.CompletedTask;
        }

        public void Dispose() => listener.Dispose();

        private async Task AcceptAsync()
        {
            try
            {
                while (true)
                {
                    _ = ServeAsync(await listener.AcceptTcpClientAsync(Soon));
                }
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                // The test is over.
            }
        }

        private async Task ServeAsync(TcpClient client)
        {
            using TcpClient owned = client;
            using StreamReader reader = new(client.GetStream(), Encoding.ASCII);
            while (await reader.ReadLineAsync(Soon) is { } line)
            {
                if (line.StartsWith("POST ", StringComparison.Ordinal))
                {
                    Queries.Enqueue(line.Split('?', ' ')[2]);
                }
                else if (line.Length == 0)
                {
                    await released.Task.WaitAsync(Soon);
                    await client.GetStream().WriteAsync(Answer, Soon);
                }
            }
        }
    }
}
