using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Server.Store;

namespace Berth.Server.Callbacks;

/// <summary>
/// Sends one callback. The address is chosen when the connection is made and checked then, so that a name can't change
/// its
/// mind between check and use. No redirects, no proxy, no cookies, a bounded answer, a bounded time.
/// </summary>
internal sealed class CallbackClient : IDisposable
{
    private const int ReplyLimit = 64 * 1024;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly CallbackPolicy policy;
    private readonly CallbackSigner signer;
    private readonly TimeProvider time;
    private readonly HttpMessageInvoker client;

    public CallbackClient(CallbackPolicy policy, CallbackSigner signer, TimeProvider time)
    {
        this.policy = policy;
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
            ConnectCallback = ConnectAsync,
        });
    }

    /// <summary>Null when the receiver took it (2xx), else why not.</summary>
    public async Task<string?> SendAsync(PendingCallback callback, CancellationToken cancellationToken)
    {
        using CancellationTokenSource late = new(Limit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            using HttpRequestMessage request = Request(callback);
            using HttpResponseMessage response = await client.SendAsync(request, either.Token);
            await ReadAsync(response.Content, either.Token);
            return response.IsSuccessStatusCode ? null : $"it answered {(int)response.StatusCode}";
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
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

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        DnsEndPoint target = context.DnsEndPoint;
        IPAddress[] addresses = IPAddress.TryParse(target.Host, out IPAddress? literal)
            ? [literal]
            : await Dns.GetHostAddressesAsync(target.Host, cancellationToken);
        IPAddress[] open = [.. addresses.Where(address => policy.Allows(target.Host, address))];
        if (open.Length == 0)
        {
            throw new BerthException(
                ErrorCode.CallbackForbidden, $"{target.Host} has no public address, only {string.Join(", ", addresses.Take(4))}");
        }

        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(open, target.Port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
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
