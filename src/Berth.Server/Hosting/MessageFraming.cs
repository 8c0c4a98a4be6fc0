using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Hosting;

/// <summary>
/// Refuses a message that gives its length twice, by Content-Length and by Transfer-Encoding, or has another coding
/// than one <c>chunked</c>. The specification lets a server choose (RFC 9112, section 6.3), and Kestrel does; but a
/// proxy in front may have chosen otherwise, and then one message's body is the next message to one of the two.
/// </summary>
internal static class MessageFraming
{
    /// <summary>Where Kestrel leaves a Content-Length that it has overruled.</summary>
    private const string Overruled = "X-Content-Length";

    public static void Check(HttpRequest request)
    {
        StringValues codings = request.Headers.TransferEncoding;
        if (codings.Count == 0)
        {
            return;
        }

        if (request.Headers.ContainsKey(Overruled))
        {
            throw Refuse(
                request, "The request has both Content-Length and Transfer-Encoding: send one of the two.");
        }

        if (codings.Count != 1 || !string.Equals(codings[0], "chunked", StringComparison.OrdinalIgnoreCase))
        {
            throw Refuse(
                request,
                $"The transfer coding '{codings}' is not understood: send the body as it is, or chunked once.");
        }
    }

    private static BerthException Refuse(HttpRequest request, string message)
    {
        request.HttpContext.Response.OnStarting(() =>
        {
            request.HttpContext.Response.Headers.Connection = "close";
            return Task.CompletedTask;
        });
        return new BerthException(ErrorCode.InvalidRequest, message);
    }
}
