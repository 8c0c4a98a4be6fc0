using System.Net;
using System.Net.Http.Headers;
using Berth.Core.Callbacks;
using Berth.Core.Errors;

namespace Berth.Server.Callbacks;

/// <summary>
/// Sends one callback, where <see cref="GuardedConnection"/> lets it go. No redirects, no proxy, no cookies, a bounded
/// answer, a bounded time.
/// </summary>
internal sealed class CallbackClient : IDisposable
{
    private const int ReplyLimit = 64 * 1024;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly CallbackSigner signer;
    private readonly TimeProvider time;
    private readonly HttpMessageInvoker client;

    public CallbackClient(CallbackPolicy policy, CallbackSigner signer, TimeProvider time)
    {
        this.signer = signer;
        this.time = time;
        client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            MaxResponseHeadersLength = 32,
            ConnectTimeout = Limit,
            PooledConnectionLifetime = TimeSpan.FromMinutes(1),
            ConnectCallback = new GuardedConnection(policy, ErrorCode.CallbackForbidden, "callback-allow").ConnectAsync,
        });
    }

    /// <summary>Null when the receiver took it (2xx), else why not.</summary>
    /// <param name="key">What tells a repeated delivery from a new one.</param>
    /// <param name="runId">The run that it is about, if it is about one.</param>
    public async Task<string?> SendAsync(
        Uri target, ReadOnlyMemory<byte> body, string key, string? runId, CancellationToken cancellationToken)
    {
        using CancellationTokenSource late = new(Limit, time);
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using HttpRequestMessage request = Request(target, body, key, runId);
            using HttpResponseMessage response = await client.SendAsync(request, either.Token);
            await ReadAsync(response.Content, either.Token);
            return response.IsSuccessStatusCode ? null : $"it answered {(int)response.StatusCode}";
        }
        catch (OperationCanceledException)
            when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return $"it did not answer within {Limit.TotalSeconds:0} s";
        }
        catch (HttpRequestException error)
        {
            return error.InnerException is BerthException refusal ? refusal.Message : error.Message;
        }
        catch (IOException error)
        {
            return error.Message;
        }
    }

    public void Dispose() => client.Dispose();

    private HttpRequestMessage Request(Uri target, ReadOnlyMemory<byte> body, string key, string? runId)
    {
        ByteArrayContent content = new(body.ToArray());
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        HttpRequestMessage request = new(HttpMethod.Post, target) { Content = content };
        request.Headers.Add("User-Agent", "Berth");
        request.Headers.Add("Idempotency-Key", key);
        if (runId is not null)
        {
            request.Headers.Add("Berth-Run-Id", runId);
        }

        request.Headers.Add(CallbackSigner.Header, signer.Sign(body.Span, time.GetUtcNow()));
        return request;
    }

    /// <summary>Reads the answer so that the connection can be used again, but not without end.</summary>
    private static async Task ReadAsync(HttpContent content, CancellationToken cancellationToken)
    {
        await using Stream stream = await content.ReadAsStreamAsync(cancellationToken);
        byte[] buffer = new byte[8 * 1024];
        int total = 0;
        int count;
        while (total < ReplyLimit && (count = await stream.ReadAsync(buffer, cancellationToken)) > 0)
        {
            total += count;
        }
    }
}
