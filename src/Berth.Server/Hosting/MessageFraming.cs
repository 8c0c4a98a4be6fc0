using System.Buffers;
using System.Collections.Frozen;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Hosting;

/// <summary>
/// Refuses a message that gives its length twice, by Content-Length and by Transfer-Encoding, or has another coding
/// than one <c>chunked</c>. The specification lets a server choose (RFC 9112, section 6.3), and Kestrel does; but a
/// proxy in front may have chosen otherwise, and then one message's body is the next message to one of the two. What
/// Kestrel takes apart before anybody can look is <see cref="RequestScanner"/>'s.
/// </summary>
internal static class MessageFraming
{
    /// <summary>Where Kestrel leaves a Content-Length that it has overruled.</summary>
    private const string Overruled = "X-Content-Length";

    /// <summary>tchar of RFC 9110, section 5.6.2, and the colon of a pseudo header.</summary>
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create(
        "!#$%&'*+-.^_`|~:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    private static readonly FrozenSet<string> OfConnections = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase, "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade");

    public static void Check(HttpRequest request)
    {
        bool isHttp2 = HttpProtocol.IsHttp2(request.Protocol);
        CheckNames(request, isHttp2);
        if (isHttp2)
        {
            return;
        }

        if (request.Headers.Upgrade.Count > 0 && HttpProtocol.IsHttp11(request.Protocol))
        {
            CloseUnlessUpgraded(request);
        }

        StringValues codings = request.Headers.TransferEncoding;
        if (codings.Count == 0)
        {
            return;
        }

        if (HttpProtocol.IsHttp10(request.Protocol))
        {
            throw Refuse(request, "HTTP/1.0 knows no Transfer-Encoding: send Content-Length, or speak HTTP/1.1.");
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

    /// <summary>Names that are no names, and in HTTP/2 those that RFC 9113 forbids in section 8.2.2.</summary>
    private static void CheckNames(HttpRequest request, bool isHttp2)
    {
        // Not their Keys, which are a list that is made for each request.
        foreach ((string name, StringValues _) in request.Headers)
        {
            if (name.AsSpan().ContainsAnyExcept(NameCharacters))
            {
                throw Refuse(request, "A header's name holds a character that no name may have.");
            }

            if (isHttp2 && OfConnections.Contains(name))
            {
                throw Refuse(request, $"The header {name} is about a connection of HTTP/1.1 and means nothing here.");
            }
        }
    }

    /// <summary>What follows such a request is not looked at by the scanner, which can't know whether it was
    /// granted.</summary>
    private static void CloseUnlessUpgraded(HttpRequest request)
    {
        HttpResponse response = request.HttpContext.Response;
        response.OnStarting(() =>
        {
            if (response.StatusCode != StatusCodes.Status101SwitchingProtocols)
            {
                response.Headers.Connection = "close";
            }

            return Task.CompletedTask;
        });
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
