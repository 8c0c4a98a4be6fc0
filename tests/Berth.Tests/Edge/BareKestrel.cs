using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Berth.Tests.Edge;

/// <summary>The web server that Berth is built on, as strict as it is by itself: with Berth's sizes, which are larger,
/// and nothing else of it. It takes everything that is a request.</summary>
internal sealed class BareKestrel : IAsyncDisposable
{
    private readonly WebApplication application;

    private BareKestrel(WebApplication application) => this.application = application;

    public Uri Http1 => new(application.Urls.First());

    public Uri Http2 => new(application.Urls.Last());

    public static async Task<BareKestrel> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MaxRequestLineSize = 16 * 1024;
            kestrel.Limits.MaxRequestHeadersTotalSize = 128 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 2048;
            kestrel.Limits.Http2.MaxRequestHeaderFieldSize = 64 * 1024;
            kestrel.Limits.Http2.MaxFrameSize = 64 * 1024;
            kestrel.Listen(IPAddress.Loopback, 0, l => l.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, 0, l => l.Protocols = HttpProtocols.Http2);
        });
        WebApplication application = builder.Build();
        application.MapMethods("/healthz", ["GET", "HEAD"], () => "");
        application.MapFallback(async context =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
            context.Response.StatusCode = StatusCodes.Status202Accepted;
        });
        await application.StartAsync();
        return new BareKestrel(application);
    }

    public ValueTask DisposeAsync() => application.DisposeAsync();
}
