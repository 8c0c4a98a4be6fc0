using System.Security.Cryptography;
using System.Text;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Forwarding;

/// <summary>
/// WebSocket over HTTP/2 (RFC 8441): a CONNECT that names the protocol asks for what in HTTP/1.1 a GET with Upgrade
/// asks for (RFC 6455, section 4.1), and programs are asked so. The handshake's key is of HTTP/1.1 alone, and made
/// here.
/// </summary>
internal static class ExtendedConnect
{
    public const string WebSocket = "websocket";
    private const string Key = "Sec-WebSocket-Key";
    private const string Accept = "Sec-WebSocket-Accept";

    /// <summary>From RFC 6455, section 1.3.</summary>
    private const string KeySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    /// <summary>Makes it the GET that it stands for, before it is routed. Other protocols stay a CONNECT, which nothing
    /// here answers.</summary>
    public static void Translate(HttpContext context)
    {
        if (HttpMethods.IsConnect(context.Request.Method) && Of(context) is { Protocol: WebSocket })
        {
            context.Request.Method = HttpMethods.Get;
        }
    }

    /// <summary>Null where the request is none.</summary>
    public static IHttpExtendedConnectFeature? Of(HttpContext context) =>
        HttpProtocol.IsHttp2(context.Request.Protocol)
        && context.Features.Get<IHttpExtendedConnectFeature>() is { IsExtendedConnect: true } connect ? connect : null;

    /// <summary>Where no program switches protocols: any success would tell the caller that one has (RFC 8441, section
    /// 5).</summary>
    /// <exception cref="BerthException">MethodNotAllowed, for such a request.</exception>
    public static void Refuse(HttpContext context)
    {
        if (Of(context) is not null)
        {
            throw new BerthException(
                ErrorCode.MethodNotAllowed,
                "WebSocket over HTTP/2 leads to functions with the http contract, and this is none: where the address "
                + "is a WebSocket's, speak HTTP/1.1.");
        }
    }

    /// <summary>Gives the request the headers of the handshake.</summary>
    public static void Prepare(HttpRequest request)
    {
        request.Headers.Upgrade = WebSocket;
        request.Headers[Key] = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
    }

    /// <summary>An answer that does not switch: what is no refusal would pass for a switch.</summary>
    /// <exception cref="IOException">It is a success.</exception>
    public static void RequireRefusal(HttpContext context, AnswerHead answer)
    {
        if (answer.Status < StatusCodes.Status300MultipleChoices && Of(context) is not null)
        {
            throw new IOException($"it answers a WebSocket's handshake with {answer.Status}, not with 101");
        }
    }

    /// <summary>What is said in HTTP/1.1 alone is taken out of the answer.</summary>
    /// <exception cref="IOException">The program switches to something else, or without having read the key.
    /// </exception>
    public static void Settle(HttpContext context, AnswerHead answer)
    {
        string key = context.Request.Headers[Key].ToString() + KeySuffix;
#pragma warning disable CA5350 // RFC 6455 says SHA-1; it proves that the key was read, and nothing else.
        string expected = Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key)));
#pragma warning restore CA5350
        bool isSettled = WebSocket.Equals(answer.Upgrade, StringComparison.OrdinalIgnoreCase)
            && context.Response.Headers[Accept] == expected;
        if (!isSettled)
        {
            throw new IOException("it switches to another protocol than WebSocket");
        }

        context.Response.Headers.Remove(Accept);
        context.Response.StatusCode = StatusCodes.Status200OK;
    }
}
