using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Berth.Tests.Telemetry;

/// <summary>An OTLP collector that keeps what it is sent.</summary>
internal sealed class Collector : IAsyncDisposable
{
    private readonly WebApplication host;

    private Collector(WebApplication host) => this.host = host;

    /// <summary>Messages by path, with the value of the header x-key.</summary>
    public ConcurrentQueue<(string Path, string Key, JsonElement Message)> Messages { get; } = new();

    /// <summary>What it answers from now on.</summary>
    public int Status { get; set; } = 200;

    public Uri Address => new(
        host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    public static async Task<Collector> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        WebApplication host = builder.Build();
        Collector collector = new(host);
        host.Run(collector.TakeAsync);
        await host.StartAsync();
        return collector;
    }

    /// <summary>Everything of a kind, whatever it was sent with.</summary>
    public IEnumerable<JsonElement> All(string resources, string scopes, string things) => Messages
        .Where(m => m.Message.TryGetProperty(resources, out _))
        .SelectMany(m => m.Message.GetProperty(resources).EnumerateArray())
        .SelectMany(r => r.GetProperty(scopes).EnumerateArray())
        .SelectMany(s => s.GetProperty(things).EnumerateArray());

    public ValueTask DisposeAsync() => host.DisposeAsync();

    private async Task TakeAsync(HttpContext context)
    {
        using JsonDocument message = await JsonDocument.ParseAsync(context.Request.Body);
        if (Status == 200)
        {
            Messages.Enqueue((
                context.Request.Path, context.Request.Headers["x-key"].ToString(), message.RootElement.Clone()));
        }

        context.Response.StatusCode = Status;
    }
}
