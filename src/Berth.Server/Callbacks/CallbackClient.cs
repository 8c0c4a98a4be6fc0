using System.Net;
using System.Net.Http.Headers;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Server.Store;

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
    public async Task<string?> SendAsync(PendingCallback callback, CancellationToken cancellationToken)
    {
        using CancellationTokenSource late = new(Limit, time);
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using HttpRequestMessage request = Request(callback);
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

    private HttpRequestMessage Request(PendingCallback callback)
    {
        ByteArrayContent content = new(callback.Body.ToArray());
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        HttpRequestMessage request = new(HttpMethod.Post, callback.Target) { Content = content };
        request.Headers.Add("User-Agent", "Berth");
        // One callback for each run: the run's id is what tells a repeated delivery from a new one.
        request.Headers.Add("Idempotency-Key", callback.Run.Text);
        request.Headers.Add("Berth-Run-Id", callback.Run.Text);
        request.Headers.Add(CallbackSigner.Header, signer.Sign(callback.Body.Span, time.GetUtcNow()));
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
