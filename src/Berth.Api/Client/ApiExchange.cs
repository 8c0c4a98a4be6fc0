using System.Net.Http.Headers;
using System.Security.Authentication;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Berth.Api.Errors;
using Berth.Api.Runs;
using Berth.Core.Errors;

namespace Berth.Api.Client;

/// <summary>
/// Sends requests to one server and turns whatever goes wrong into a BerthException. Owns the connections.
/// </summary>
internal sealed class ApiExchange : IDisposable
{
    private const int Tries = 3;

    /// <summary>A server answers plain requests in milliseconds; this only ends waiting for one that hangs.</summary>
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(100);

    /// <summary>An error document longer than this is not one of Berth's.</summary>
    private const int MaxErrorBytes = 1024 * 1024;

    private readonly HttpClient http;
    private readonly TimeProvider time;

    public ApiExchange(Uri address, string? token, TimeProvider time, HttpMessageHandler? handler)
    {
        Address = new Uri(address.AbsoluteUri.TrimEnd('/') + "/");
        Token = token;
        this.time = time;
        // The environment's proxy is not used: the server is the machine itself or one of the same network.
        http = new HttpClient(handler ?? new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            ConnectTimeout = CallConnection.ConnectTimeout,
        });
        http.Timeout = Timeout.InfiniteTimeSpan;
        http.DefaultRequestHeaders.UserAgent.ParseAdd(UserAgent);
        if (token is not null && token.Any(c => c is <= ' ' or >= '\u007f'))
        {
            throw new BerthException(
                ErrorCode.Unauthorized,
                "The token has characters that no token has: copy it again, without line ends.");
        }

        if (token is not null)
        {
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }
    }

    public static string UserAgent { get; } = "berth/" + typeof(ApiExchange).Assembly.GetName().Version?.ToString(3);

    public Uri Address { get; }

    public string? Token { get; }

    public async Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response =
            await SendSafelyAsync(() => new HttpRequestMessage(HttpMethod.Get, UriOf(path)), cancellationToken);
        return await ReadAsync(response, type, cancellationToken);
    }

    public async Task<TOut> PostAsync<TIn, TOut>(
        string path, TIn body, JsonTypeInfo<TIn> bodyType, JsonTypeInfo<TOut> type, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await OpenAsync(PostOf(path, body, bodyType), cancellationToken);
        return await ReadAsync(response, type, cancellationToken);
    }

    /// <summary>Without a body.</summary>
    public async Task<TOut> PostAsync<TOut>(
        string path, JsonTypeInfo<TOut> type, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await OpenAsync(
            new HttpRequestMessage(HttpMethod.Post, UriOf(path)), cancellationToken);
        return await ReadAsync(response, type, cancellationToken);
    }

    /// <summary>Putting the same twice changes nothing, so it is sent again after a broken connection.</summary>
    public async Task<TOut> PutAsync<TIn, TOut>(
        string path, TIn body, JsonTypeInfo<TIn> bodyType, JsonTypeInfo<TOut> type, CancellationToken cancellationToken)
    {
        HttpRequestMessage Request()
        {
            HttpRequestMessage request = PostOf(path, body, bodyType);
            request.Method = HttpMethod.Put;
            return request;
        }

        using HttpResponseMessage response = await SendSafelyAsync(Request, cancellationToken);
        return await ReadAsync(response, type, cancellationToken);
    }

    public HttpRequestMessage PostOf<TIn>(string path, TIn body, JsonTypeInfo<TIn> bodyType)
    {
        ByteArrayContent content = new(JsonSerializer.SerializeToUtf8Bytes(body, bodyType));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return new HttpRequestMessage(HttpMethod.Post, UriOf(path)) { Content = content };
    }

    /// <summary>Deleting what is gone already is an answer too, so a second try may follow a broken first.</summary>
    public async Task DeleteAsync(string path, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await OpenAsync(
            new HttpRequestMessage(HttpMethod.Delete, UriOf(path)), cancellationToken);
    }

    /// <summary>Sends a request without effect, again after a broken connection or when the server asks to.</summary>
    public async Task<HttpResponseMessage> SendSafelyAsync(
        Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await OpenAsync(request(), cancellationToken);
            }
            catch (BerthException e) when (
                attempt < Tries && e.Code is ErrorCode.Upstream or ErrorCode.ShuttingDown && e.RetryAfter is not null)
            {
                await Task.Delay(e.RetryAfter.Value, time, cancellationToken);
            }
        }
    }

    /// <summary>Sends once; returns when the headers of a good answer are there. The caller disposes it.</summary>
    public Task<HttpResponseMessage> OpenAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        OpenAsync(request, AnswerTimeout, cancellationToken);

    /// <summary>The same for what may take as long as it takes: a program's grace, an archive's way.</summary>
    public Task<HttpResponseMessage> OpenPatientlyAsync(
        HttpRequestMessage request, CancellationToken cancellationToken) =>
        OpenAsync(request, Timeout.InfiniteTimeSpan, cancellationToken);

    private async Task<HttpResponseMessage> OpenAsync(
        HttpRequestMessage request, TimeSpan patience, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = new(patience, time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        try
        {
            HttpResponseMessage response = await http.SendAsync(
                request, HttpCompletionOption.ResponseHeadersRead, both.Token);
            if (response.IsSuccessStatusCode)
            {
                return response;
            }

            using (response)
            {
                throw await ErrorOfAsync(response, both.Token);
            }
        }
        catch (HttpRequestException e)
        {
            throw Unreachable(e);
        }
        catch (OperationCanceledException e) when (
            limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"The server at {Address} did not answer within {AnswerTimeout.TotalSeconds} s.",
                e);
        }
    }

    public Uri UriOf(string path) => new(Address, path);

    public BerthException Unreachable(Exception cause) => new(
        ErrorCode.Upstream,
        cause.GetBaseException() is AuthenticationException distrust
            ? $"The certificate of {Address} is not trusted: {distrust.Message.TrimEnd('.')}. Name a file with the "
            + "certificate of its authority in SSL_CERT_FILE, or use an address that the certificate names."
            : $"There is no answer from {Address}: {cause.GetBaseException().Message.TrimEnd('.')}. Start a server "
            + "with 'berth serve', or name another one with --host or BERTH_HOST.",
        cause)
    {
        // A refused connection will be refused again; one that broke may have met a restart.
        RetryAfter = cause is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError }
            ? null
            : TimeSpan.FromMilliseconds(200),
    };

    /// <summary>Turns an error answer into the exception that the server meant.</summary>
    public static BerthException ErrorOf(int status, ReadOnlySpan<byte> body, TimeSpan? retryAfter)
    {
        Problem? problem = ParseProblem(body);
        if (problem is null)
        {
            string text = System.Text.Encoding.UTF8.GetString(body[..Math.Min(body.Length, 300)]).Trim();
            return new BerthException(
                status == 401 ? ErrorCode.Unauthorized : status == 404 ? ErrorCode.NotFound : ErrorCode.Upstream,
                $"The server answered {status}{(text.Length == 0 ? "" : ": " + text)}.")
            { RetryAfter = retryAfter };
        }

        return new BerthException(ErrorCatalog.Find(problem.Code).Error, problem.Detail) { RetryAfter = retryAfter };
    }

    public static Problem? ParseProblem(ReadOnlySpan<byte> body)
    {
        try
        {
            return JsonSerializer.Deserialize(body, RunJson.Default.Problem) is { Code: not null } problem
                ? problem
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static async Task<BerthException> ErrorOfAsync(
        HttpResponseMessage response, CancellationToken cancellationToken)
    {
        await response.Content.LoadIntoBufferAsync(MaxErrorBytes, cancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        return ErrorOf((int)response.StatusCode, body, response.Headers.RetryAfter?.Delta);
    }

    private static async Task<T> ReadAsync<T>(
        HttpResponseMessage response, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        try
        {
            // Answers are pages. Reading a stream of them costs a program that asks once more than the rest.
            byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
            return JsonSerializer.Deserialize(body, type)
                ?? throw new BerthException(ErrorCode.Upstream, "The server answered with nothing.");
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"The server's answer is not what was asked for: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            throw new BerthException(ErrorCode.Upstream, $"The server's answer broke off: {e.Message}", e);
        }
    }

    public void Dispose() => http.Dispose();
}
