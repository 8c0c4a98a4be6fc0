using System.Globalization;
using System.Net;
using System.Text;

namespace Berth.Api.Client;

/// <summary>
/// Sends each request over a connection of its own. For programs that make one or two requests and end, such as the
/// command line: starting the pooling handler costs more than all the rest of such a program.
/// </summary>
public sealed class OneShotHandler : HttpMessageHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Uri target = request.RequestUri!;
        Stream? body = request.Content is null ? null : await request.Content.ReadAsStreamAsync(cancellationToken);
        CallConnection connection;
        try
        {
            connection = await CallConnection.OpenAsync(target, cancellationToken);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            throw new HttpRequestException(HttpRequestError.ConnectionError, e.Message, e);
        }

        try
        {
            await connection.SendAsync(HeadOf(request, target), body, cancellationToken);
            ResponseHead head = await connection.ReadHeadAsync(cancellationToken);
            return ResponseOf(request, connection, head);
        }
        catch (IOException e)
        {
            await connection.DisposeAsync();
            throw new HttpRequestException(HttpRequestError.ResponseEnded, e.Message, e);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static string HeadOf(HttpRequestMessage request, Uri target)
    {
        StringBuilder head = new();
        head.Append($"{request.Method} {target.PathAndQuery} HTTP/1.1\r\nHost: {target.Authority}\r\n");
        head.Append("Connection: close\r\n");
        foreach ((string name, IEnumerable<string> values) in request.Headers)
        {
            head.Append(CultureInfo.InvariantCulture, $"{name}: {string.Join(' ', values)}\r\n");
        }

        if (request.Content?.Headers.ContentType is { } type)
        {
            head.Append(CultureInfo.InvariantCulture, $"Content-Type: {type}\r\n");
        }

        return head.ToString();
    }

    private static HttpResponseMessage ResponseOf(
        HttpRequestMessage request, CallConnection connection, ResponseHead head)
    {
        HttpResponseMessage response = new((HttpStatusCode)head.Status)
        {
            RequestMessage = request,
            Content = new StreamContent(new OwningBody(connection, head)),
        };
        foreach ((string name, string value) in head.Headers)
        {
            if (!response.Headers.TryAddWithoutValidation(name, value))
            {
                response.Content.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return response;
    }

    /// <summary>Closes the connection with the body.</summary>
    private sealed class OwningBody(CallConnection connection, ResponseHead head) : CallBody(connection, head)
    {
        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                Connection.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }

            base.Dispose(disposing);
        }

        public override async ValueTask DisposeAsync()
        {
            await Connection.DisposeAsync();
            await base.DisposeAsync();
        }
    }
}
