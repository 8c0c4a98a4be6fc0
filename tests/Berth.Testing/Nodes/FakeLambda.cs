using System.Net;
using System.Text;
using System.Text.Json;

namespace Berth.Testing.Nodes;

/// <summary>
/// A program that asks AWS Lambda's Runtime API for its events and does what each says in <c>do</c>: <c>fail, hang,
/// exit, wrong</c> (answers another's id), <c>big</c> (<c>size</c> bytes), <c>stream, break</c> (a stream with an error
/// at its end), <c>http</c> (streams <c>prelude</c> and <c>body</c>), <c>headers, env, pause</c> (after its answer),
/// <c>raw</c> (answers <c>answer</c>); anything else is answered with itself. Its arguments: <c>deaf</c> asks for
/// nothing, <c>refuse</c> can't be initialized, <c>unwrap</c> takes for its event what an event of HTTP has for a body.
/// </summary>
internal sealed class FakeLambda(
    Func<CancellationToken, Task<Stream>> connect, Stream error, TimeProvider time,
    IReadOnlyDictionary<string, string> environment)
{
    private const string Root = "http://runtime/2018-06-01/runtime/";
    private const string ErrorType = "Lambda-Runtime-Function-Error-Type";

    public async Task<FakeEnd> RunAsync(IReadOnlyList<string> command, CancellationToken stop)
    {
        using HttpClient client = new(
            new SocketsHttpHandler { ConnectCallback = async (_, token) => await connect(token) })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        if (command.Contains("deaf"))
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, time, stop);
        }

        if (command.Contains("refuse"))
        {
            await PostAsync(
                client, "init/error",
                Json("""{"errorMessage":"no module 'app'","errorType":"Runtime.ImportModuleError"}"""), stop);
            return FakeEnd.Exit(1);
        }

        while (true)
        {
            using HttpResponseMessage next = await client.GetAsync(new Uri(Root + "invocation/next"), stop);
            if (!next.IsSuccessStatusCode)
            {
                return FakeEnd.Exit(1);
            }

            string id = next.Headers.GetValues("Lambda-Runtime-Aws-Request-Id").Single();
            string text = Unwrap(await next.Content.ReadAsStringAsync(stop), command);
            await error.WriteAsync(Encoding.UTF8.GetBytes($"event of {text.Length} characters\n"), stop);
            try
            {
                if (await HandleAsync(client, next, id, text, stop) is { } end)
                {
                    return end;
                }
            }
            catch (HttpRequestException)
            {
                // Its own stream broke off; the server knows the rest.
            }
        }
    }

    private static string Unwrap(string text, IReadOnlyList<string> command)
    {
        if (!command.Contains("unwrap"))
        {
            return text;
        }

        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.GetProperty("body").GetString()!;
    }

    private async Task<FakeEnd?> HandleAsync(
        HttpClient client, HttpResponseMessage next, string id, string text, CancellationToken stop)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        JsonElement root = document.RootElement;
        string wish = root.ValueKind == JsonValueKind.Object && root.TryGetProperty("do", out JsonElement found)
            ? found.GetString()!
            : "";
        string own = $"invocation/{id}/response";
        switch (wish)
        {
            case "hang":
                await Task.Delay(Timeout.InfiniteTimeSpan, time, stop);
                break;
            case "exit":
                return FakeEnd.Exit(3);
            case "fail":
                await PostAsync(
                    client, $"invocation/{id}/error", Json("""{"errorMessage":"it is bad","errorType":"Boom"}"""), stop,
                    (ErrorType, "Boom"));
                break;
            case "wrong":
                HttpStatusCode status = await PostAsync(client, "invocation/other/response", Json("1"), stop);
                await PostAsync(client, own, Json($"{(int)status}"), stop);
                break;
            case "big":
                int size = root.GetProperty("size").GetInt32();
                await error.WriteAsync(
                    Encoding.UTF8.GetBytes(
                        $"{await PostAsync(client, own, Json('"' + new string('x', size - 2) + '"'), stop)}\n"),
                    stop);
                break;
            case "stream":
            case "break":
                await PostAsync(client, own, new Parts(["one ", "two ", "three"], wish == "break"), stop);
                break;
            case "http":
                string body = root.GetProperty("prelude").GetString() + new string('\0', 8)
                    + root.GetProperty("body").GetString();
                await PostAsync(
                    client, own,
                    new Parts([body[..3], body[3..]], false, "application/vnd.awslambda.http-integration-response"),
                    stop);
                break;
            case "raw":
                await PostAsync(client, own, Json(root.GetProperty("answer").GetRawText()), stop);
                break;
            case "headers":
                Dictionary<string, string> headers = next.Headers.ToDictionary(
                    h => h.Key, h => string.Join(',', h.Value));
                await PostAsync(client, own, Json(JsonSerializer.Serialize(headers)), stop);
                break;
            case "env":
                await PostAsync(client, own, Json(JsonSerializer.Serialize(environment)), stop);
                break;
            case "pause":
                await PostAsync(client, own, Json("0"), stop);
                await Task.Delay(TimeSpan.FromHours(1), time, stop);
                break;
            default:
                await PostAsync(client, own, Json(text), stop);
                break;
        }

        return null;
    }

    private static StringContent Json(string text) => new(text, Encoding.UTF8, "application/json");

    private static async Task<HttpStatusCode> PostAsync(
        HttpClient client, string path, HttpContent content, CancellationToken stop,
        params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, Root + path) { Content = content };
        foreach ((string name, string value) in headers)
        {
            request.Headers.Add(name, value);
        }

        if (content is Parts)
        {
            request.Headers.Add("Lambda-Runtime-Function-Response-Mode", "streaming");
            request.Headers.TransferEncodingChunked = true;
        }

        using HttpResponseMessage answer = await client.SendAsync(request, stop);
        return answer.StatusCode;
    }

    /// <summary>A body that is sent piece by piece. Torn, it ends as a process does that dies.</summary>
    private sealed class Parts : HttpContent
    {
        private readonly string[] parts;
        private readonly bool torn;

        public Parts(string[] parts, bool torn, string type = "text/plain")
        {
            this.parts = parts;
            this.torn = torn;
            Headers.TryAddWithoutValidation("Content-Type", type);
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            foreach (string part in parts)
            {
                await stream.WriteAsync(Encoding.UTF8.GetBytes(part));
                await stream.FlushAsync();
            }

            if (torn)
            {
                throw new IOException("The stream breaks off.");
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
