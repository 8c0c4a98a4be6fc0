using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Hosting;

/// <summary>Where a request came from, as a program is told by the headers X-Forwarded-For, -Proto and -Host.</summary>
/// <param name="IsTold">Whether a trusted proxy sent it, whose other words about the way are passed on too.</param>
internal readonly record struct RequestWay(string For, string Scheme, string? Host, bool IsTold)
{
    public static RequestWay Of(HttpRequest request)
    {
        string peer = TrustedProxies.PeerOf(request.HttpContext)?.ToString() ?? "unknown";
        if (TrustedProxies.Before(request.HttpContext) is not { } proxies)
        {
            return new RequestWay(peer, request.Scheme, request.Host.Value, IsTold: false);
        }

        StringValues host = request.Headers["X-Forwarded-Host"];
        return new RequestWay(
            proxies.WayOf(request.Headers["X-Forwarded-For"], peer), TrustedProxies.SchemeOf(request),
            StringValues.IsNullOrEmpty(host) ? request.Host.Value : host.ToString(), IsTold: true);
    }
}
