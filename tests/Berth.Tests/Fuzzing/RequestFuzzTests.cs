using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Berth.Testing.Fuzzing;
using Berth.Testing.Server;
using Berth.Tests.Edge;
using Xunit;

namespace Berth.Tests.Fuzzing;

/// <summary>
/// Requests that are nearly right, each on a connection of its own, against a whole server: none makes it fail, none
/// keeps a connection for longer than <see cref="HangGuard.Limit"/>, and afterwards it serves as before.
/// <c>BERTH_FUZZ</c> sets how many.
/// </summary>
public sealed class RequestFuzzTests
{
    internal const string Hang = "hang";

    private const int AtOnce = 8;

    private static readonly int Requests = FuzzCount.Of(50_000);
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(50);

    /// <summary>Follows every request, so that its connection ends.</summary>
    internal static readonly byte[] Last = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"u8.ToArray();

    [Fact]
    public async Task Nothing_nearly_right_makes_the_server_fail_or_hang()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        Mutator mutator = new([.. Seeds(rig.AdminToken).Select(Encoding.ASCII.GetBytes)]);
        ConcurrentBag<string> wrong = [];
        int answered = 0;

        await Parallel.ForEachAsync(
            Enumerable.Range(0, Requests), new ParallelOptions { MaxDegreeOfParallelism = AtOnce },
            async (number, stop) =>
            {
                byte[] request = mutator.Make(number);
                string answer = await SendAsync(rig.Address, request);
                if (answer.Length > 0)
                {
                    Interlocked.Increment(ref answered);
                }

                if (Complaint(answer) is { } complaint && wrong.Count < 20)
                {
                    wrong.Add($"Request {number}: {complaint}\n{Convert.ToBase64String(request)}\n{Start(answer)}");
                }
            });

        Assert.True(wrong.IsEmpty, string.Join("\n\n", wrong));
        Assert.True(answered > Requests / 2, $"Only {answered} of {Requests} were answered.");
        using HttpResponseMessage after = await rig.SendAsync(ServerRig.Call(body: new StringContent("whole")));
        Assert.Equal("whole", await after.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    /// <summary>Answers that end a run of the caller's own program, or tell of capacity or of another server, are no
    /// failures.</summary>
    private static string? Complaint(string answer)
    {
        if (answer == Hang)
        {
            return "the connection was not closed";
        }

        foreach (string part in answer.Split("HTTP/1.1 ").Skip(1))
        {
            if (part.StartsWith('5') && part[..3] is not ("501" or "503" or "505" or "507")
                && !part.Contains("\"code\":\"run_", StringComparison.Ordinal)
                && !part.Contains("\"code\":\"entry_point_missing\"", StringComparison.Ordinal)
                && !part.Contains("\"code\":\"upstream\"", StringComparison.Ordinal))
            {
                return "the server failed";
            }
        }

        return null;
    }

    /// <summary>All that is answered to a request and <see cref="Last"/>, or <see cref="Hang"/>.</summary>
    internal static async Task<string> SendAsync(Uri address, byte[] request)
    {
        using CancellationTokenSource limit = new(HangGuard.Limit, TimeProvider.System);
        using TcpClient client = new() { NoDelay = true };
        StringBuilder answer = new();
        try
        {
            await client.ConnectAsync(address.Host, address.Port, limit.Token);
            await client.Client.SendAsync((byte[])[.. request, .. Last], limit.Token);
            byte[] block = new byte[8192];
            bool isOver = false;
            int count;
            while ((count = await ReceiveAsync(client.Client, block, isOver ? limit.Token : null)) != 0)
            {
                if (count > 0)
                {
                    answer.Append(Encoding.Latin1.GetString(block, 0, count));
                    continue;
                }

                // It waits for more, or tells of something that has no end: the end of what is sent ends both.
                client.Client.Shutdown(SocketShutdown.Send);
                isOver = true;
            }
        }
        catch (OperationCanceledException)
        {
            return Hang;
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            // Refused in the middle of what was sent.
        }

        return answer.ToString();
    }

    /// <summary>Returns -1 when nothing comes for a moment and no other limit is given.</summary>
    private static async Task<int> ReceiveAsync(Socket socket, byte[] block, CancellationToken? limit)
    {
        using CancellationTokenSource moment = new(Moment, TimeProvider.System);
        try
        {
            return await socket.ReceiveAsync(block, limit ?? moment.Token);
        }
        catch (OperationCanceledException) when (limit is null)
        {
            return -1;
        }
    }

    private static string Start(string text) => text[..Math.Min(text.Length, 600)];

    private static IEnumerable<string> Seeds(string token)
    {
        string known = $"Host: berth\r\nAuthorization: Bearer {token}\r\n";
        string digest = "sha256:" + new string('a', 64);
        foreach (string path in (string[])[
            "/healthz", "/readyz", "/metrics", "/v1/node", "/v1/version", "/v1/runs?kind=task&state=queued&limit=5",
            "/v1/runs?label=a%3Db&cursor=x", "/v1/runs/01k00000000000000000000000?wait=1ms", "/v1/images?limit=2",
            "/v1/runs/01k00000000000000000000000/logs?tail=5&since=1m", "/v1/images/demo/echo:1", "/v1/tokens",
            "/v1/sandboxes", "/openapi/v1.json", "/v2/", "/v2/_catalog?n=5&last=a", "/v2/demo/echo/tags/list?n=1",
            "/v2/demo/echo/manifests/1", $"/v2/demo/echo/blobs/{digest}", $"/v2/demo/echo/referrers/{digest}",
            "/v2/token?service=berth&scope=repository:demo/echo:pull", "/v1/call/demo/echo:1?a=b",
            "/v1/containers?all=true&state=exited&name=web&image=demo/echo:1&label=a%3Db&limit=2",
            "/v1/containers/web?wait=1ms", "/v1/containers/web/logs?tail=5&since=1m&stream=stdout",
            "/v1/containers/web/path?path=/etc/motd", "/v1/containers/web/archive?path=/srv", "/v1/volumes",
            "/v1/volumes/pages", "/v1/system/usage", "/v1/functions", "/v1/functions/thumb/a/b?c=d",
            "/v1/revisions/thumb/1", "/v1/rollouts/other", "/v1/repositories?limit=5&cursor=a",
            "/v1/repositories/demo/echo", "/v1/image-diff?image=demo/echo:1&base=demo/echo:1&limit=5"])
        {
            yield return $"GET {path} HTTP/1.1\r\n{known}Range: bytes=0-5\r\nAccept: */*\r\n\r\n";
        }

        foreach (string option in (string[])[
            "Berth-Arg: a%20b", "Berth-Command: echo", "Berth-Env: A=b", "Berth-Memory: 64Mi", "Berth-Cpus: 0.5",
            "Berth-Pids: 5", "Berth-Disk: 1Mi", "Berth-Timeout: 5s", "Berth-User: 1:1", "Berth-Workdir: /a",
            "Berth-Label: k=v", "Berth-Output-Limit: 1Ki", "Prefer: respond-async, wait=1", "Idempotency-Key: k",
            "Berth-Max-Age: 1m", "Berth-Attempts: 2", "Berth-Priority: -3",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
        {
            yield return $"POST /v1/call/demo/echo:1 HTTP/1.1\r\n{known}{option}\r\nContent-Length: 5\r\n\r\nhello";
            yield return $"POST /v1/tasks/demo/echo:1 HTTP/1.1\r\n{known}{option}\r\nTransfer-Encoding: chunked\r\n"
                + "\r\n5\r\nhello\r\n0\r\nX-T: a\r\n\r\n";
        }

        yield return $"POST /v1/tokens HTTP/1.1\r\n{known}Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"
            + "{\"name\":\"n\",\"role\":\"pull\"} ";
        yield return $"POST /v1/images/pull HTTP/1.1\r\n{known}Content-Type: application/json\r\nContent-Length: 37"
            + "\r\n\r\n{\"source\":\"127.0.0.1:1/a\",\"target\":\"b\"}";
        yield return $"POST /v2/demo/new/blobs/uploads/ HTTP/1.1\r\n{known}Content-Length: 0\r\n\r\n";
        yield return $"PATCH /v2/demo/new/blobs/uploads/x HTTP/1.1\r\n{known}Content-Range: 0-4\r\nContent-Length: 5"
            + "\r\n\r\nhello";
        yield return $"PUT /v2/demo/new/manifests/t HTTP/1.1\r\n{known}Content-Type: application/vnd.oci.image."
            + "manifest.v1+json\r\nContent-Length: 19\r\n\r\n{\"schemaVersion\":2}";
        foreach (string seed in Orders(known).Concat(Credentials(token)).Concat(Streams(known)))
        {
            yield return seed;
        }
    }

    /// <summary>What steers containers, functions and repositories. None begins what would go on: what it is for is
    /// not there, or it is refused last, as a container's name and the share of a first revision are.</summary>
    private static IEnumerable<string> Orders(string known)
    {
        (string Order, string Body)[] orders =
        [
            ("POST /v1/containers", """
                {"image":"demo/echo:1","name":"no name","arguments":["a"],"environment":{"A":"b"},"memory":"64Mi",
                "cpus":"0.5","mounts":[{"type":"volume","source":"pages","target":"/srv","readOnly":true},{"type":
                "memory","target":"/tmp","size":"1Mi"}],"restart":"on-failure:2","stopSignal":"INT","grace":"1s",
                "health":{"command":["true"],"interval":"1s","retries":3},"labels":{"k":"v"}}
                """),
            ("POST /v1/containers/web/start", ""),
            ("POST /v1/containers/web/stop?grace=1s", ""),
            ("POST /v1/containers/web/kill?signal=TERM", ""),
            ("POST /v1/containers/web/rename?name=site", ""),
            ("DELETE /v1/containers/web?force=true&volumes=true", ""),
            ("POST /v1/volumes", """{"name":"pages"}"""),
            ("DELETE /v1/volumes/pages", ""),
            ("POST /v1/system/prune", """{"volumes":true}"""),
            ("PUT /v1/functions/thumb", """
                {"image":"demo/echo:1","arguments":["a"],"passArguments":true,"environment":{"A":"b"},"memory":"64Mi",
                "timeout":"1s","outputLimit":"1Ki","contentType":"image/png","attempts":2,"labels":{"k":"v"},
                "maxRunning":2,"maxWaiting":3,"tag":"new","traffic":50}
                """),
            ("PUT /v1/traffic/thumb", """
                {"shares":[{"revision":1,"percent":95},{"revision":2,"percent":5}],"tags":{"new":2}}
                """),
            ("POST /v1/traffic/thumb/rollback", """{"revision":1}"""),
            ("PUT /v1/rollouts/other", """
                {"revision":2,"steps":[5,50],"interval":"1m","minCalls":20,"successRate":99.5,"latencyP95":"1.2x"}
                """),
            ("POST /v1/rollouts/other/pause", ""),
            ("PUT /v1/repositories/team/app", """
                {"immutableTags":["v*"],"quota":"1GiB","retention":{"keepLast":10,"keepFor":"30d","keep":["v?"]}}
                """),
            ("POST /v1/retention", """{"scope":"team","dryRun":true}"""),
        ];
        foreach ((string order, string body) in orders)
        {
            yield return $"{order} HTTP/1.1\r\n{known}Content-Type: application/json\r\n"
                + $"Content-Length: {body.Length}\r\n\r\n{body}";
        }
    }

    /// <summary>Who asks, in the other ways that the registry knows.</summary>
    private static IEnumerable<string> Credentials(string token)
    {
        string basic = Convert.ToBase64String(Encoding.ASCII.GetBytes("any:" + token));
        yield return "GET /v2/token?service=berth&scope=repository:demo/echo:pull,push&scope=registry:catalog:*"
            + $" HTTP/1.1\r\nHost: berth\r\nAuthorization: Basic {basic}\r\n\r\n";
        string claims = Convert.ToBase64String("""{"sub":"a","exp":9999999999,"scope":[]}"""u8).TrimEnd('=');
        yield return "GET /v2/demo/echo/tags/list HTTP/1.1\r\nHost: berth\r\n"
            + $"Authorization: Bearer brt1.{claims}.{new string('A', 43)}\r\n\r\n";
    }

    /// <summary>Bodies and connections that are no JSON.</summary>
    private static IEnumerable<string> Streams(string known)
    {
        yield return $"GET /v1/containers/web/exec HTTP/1.1\r\n{known}Connection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + "Sec-WebSocket-Protocol: berth.streams.v1\r\n\r\n";
        yield return $"PUT /v1/containers/web/archive?path=/srv HTTP/1.1\r\n{known}Content-Type: application/x-tar\r\n"
            + "Content-Length: 5\r\n\r\nhello";
        yield return $"POST /async-function/thumb/a HTTP/1.1\r\n{known}Content-Length: 5\r\n\r\nhello";
    }
}
