using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Berth.Testing.Distribution;

/// <summary>An HTTP server on the loopback that answers as a test tells it, and remembers what it was asked.</summary>
public sealed class PlayedRegistry : IAsyncDisposable
{
    private readonly WebApplication application;

    private PlayedRegistry(WebApplication application) => this.application = application;

    /// <summary>One request: method and path with query, its Authorization and Range headers.</summary>
    public sealed record Asked(string What, string Authorization, string Range);

    public ConcurrentQueue<Asked> Requests { get; } = [];

    public Uri Address => new(application.Urls.First() + "/");

    public static async Task<PlayedRegistry> StartAsync(RequestDelegate answer, string address = "127.0.0.1")
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls($"http://{address}:0");
        WebApplication application = builder.Build();
        var registry = new PlayedRegistry(application);
        application.Run(context =>
        {
            HttpRequest request = context.Request;
            registry.Requests.Enqueue(new Asked(
                $"{request.Method} {request.Path}{request.QueryString}", request.Headers.Authorization.ToString(),
                request.Headers.Range.ToString()));
            return answer(context);
        });
        await application.StartAsync();
        return registry;
    }

    public async ValueTask DisposeAsync() => await application.DisposeAsync();
}
