using System.Collections.Concurrent;
using System.Text;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Testing.Distribution;
using Microsoft.AspNetCore.Http;

namespace Berth.Testing.Registry;

/// <summary>A registry to fetch from: one image in <c>up/app</c>, and what faults a test asks for.</summary>
public sealed class PlayedUpstream : IAsyncDisposable
{
    public static readonly byte[] Config = Encoding.UTF8.GetBytes("""{"architecture":"amd64","os":"linux"}""");

    private readonly ConcurrentDictionary<string, byte[]> content = new();
    private PlayedRegistry registry = null!;

    public PlayedUpstream() => Put("v1", Layer);

    public byte[] Layer { get; } = [.. Enumerable.Range(0, 2_000_000).Select(i => (byte)(i * 7))];

    public string Url => registry.Address.ToString();

    /// <summary>Answers in place of the registry; false leaves the request to it.</summary>
    public Func<HttpContext, Task<bool>> Fault { get; set; } = _ => Task.FromResult(false);

    public IEnumerable<string> Requests => registry.Requests.Select(r => r.What);

    public static async Task<PlayedUpstream> StartAsync()
    {
        PlayedUpstream upstream = new();
        upstream.registry = await PlayedRegistry.StartAsync(upstream.AnswerAsync);
        return upstream;
    }

    public int Count(string begins) => Requests.Count(r => r.StartsWith(begins, StringComparison.Ordinal));

    /// <summary>Points a tag at an image of one layer; returns the manifest.</summary>
    public byte[] Put(string tag, byte[] layer)
    {
        byte[] manifest = RegistryMessages.Manifest(Config, layer);
        content[Digest.Sha256(Config).Text] = Config;
        content[Digest.Sha256(layer).Text] = layer;
        content[Digest.Sha256(manifest).Text] = manifest;
        content[tag] = manifest;
        return manifest;
    }

    public static async Task FailAsync(HttpContext context, int status)
    {
        context.Response.StatusCode = status;
        await context.Response.CompleteAsync();
    }

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        if (await Fault(context))
        {
            return;
        }

        string path = context.Request.Path.Value!;
        bool isManifest = path.Contains("/manifests/", StringComparison.Ordinal);
        if (!path.StartsWith("/v2/up/app/", StringComparison.Ordinal)
            || !content.TryGetValue(path[(path.LastIndexOf('/') + 1)..], out byte[]? bytes))
        {
            await FailAsync(context, StatusCodes.Status404NotFound);
            return;
        }

        context.Response.ContentType = isManifest ? MediaTypes.OciManifest : "application/octet-stream";
        context.Response.ContentLength = bytes.Length;
        context.Response.Headers["Docker-Content-Digest"] = Digest.Sha256(bytes).Text;
        if (HttpMethods.IsGet(context.Request.Method))
        {
            await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
        }
    }
}
