using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Hosting;

/// <summary>
/// Refuses a message that gives its length twice, by Content-Length and by Transfer-Encoding. The specification lets a
/// server choose one (RFC 9112, section 6.3), and Kestrel does; but a proxy in front may have chosen the other, and
/// then one message's body is the next message to one of the two.
/// </summary>
internal static class MessageFraming
{
    /// <summary>Where Kestrel leaves a Content-Length that it has overruled.</summary>
    private const string Overruled = "X-Content-Length";

    public static void Check(HttpRequest request)
    {
        if (request.Headers.TransferEncoding.Count > 0 && request.Headers.ContainsKey(Overruled))
        {
            request.HttpContext.Response.OnStarting(() =>
            {
                request.HttpContext.Response.Headers.Connection = "close";
                return Task.CompletedTask;
            });
            throw new BerthException(
                ErrorCode.InvalidRequest,
                "The request has both Content-Length and Transfer-Encoding: send one of the two.");
        }
    }
}
