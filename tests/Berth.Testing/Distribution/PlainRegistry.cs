using System.Collections.Concurrent;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Testing.Registry;
using Microsoft.AspNetCore.Http;

namespace Berth.Testing.Distribution;

/// <summary>
/// A registry of before specification 1.1: it keeps manifests and knows nothing of subjects, unless
/// <see cref="KnowsSubjects"/>.
/// </summary>
public sealed class PlainRegistry : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, (string MediaType, byte[] Bytes)> manifests = new();
    private PlayedRegistry registry = null!;

    public Uri Address => registry.Address;

    public bool KnowsSubjects { get; set; }

    /// <summary>Runs before a tag is written: another client that comes in between.</summary>
    public Action<string> BeforePut { get; set; } = _ => { };

    /// <summary>Answers in place of the registry; false leaves the request to it.</summary>
    public Func<HttpContext, Task<bool>> Fault { get; set; } = _ => Task.FromResult(false);

    public IEnumerable<string> Requests => registry.Requests.Select(r => r.What);

    public static async Task<PlainRegistry> StartAsync()
    {
        PlainRegistry plain = new();
        plain.registry = await PlayedRegistry.StartAsync(plain.AnswerAsync);
        return plain;
    }

    /// <summary>An artifact about a subject, of no blobs.</summary>
    /// <param name="type">Null for one that does not say its own.</param>
    public static byte[] Artifact(Descriptor subject, string? type, string note)
    {
        Descriptor empty = new(MediaTypes.OciEmpty, Digest.Sha256("{}"u8).Text, 2);
        Dictionary<string, string> annotations = new() { ["note"] = note };
        return JsonSerializer.SerializeToUtf8Bytes(
            new ImageManifest(2, MediaTypes.OciManifest, empty, [], subject, type, annotations),
            OciJson.Default.ImageManifest);
    }

    public void Put(string reference, byte[] bytes, string mediaType = MediaTypes.OciManifest)
    {
        manifests[reference] = (mediaType, bytes);
        manifests[Digest.Sha256(bytes).Text] = (mediaType, bytes);
    }

    /// <summary>The manifest of a tag or digest, or null.</summary>
    public byte[]? Find(string reference) =>
        manifests.TryGetValue(reference, out (string, byte[] Bytes) found) ? found.Bytes : null;

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        if (await Fault(context))
        {
            return;
        }

        string path = context.Request.Path.Value!;
        string reference = path[(path.LastIndexOf('/') + 1)..];
        if (!path.Contains("/manifests/", StringComparison.Ordinal))
        {
            await PlayedUpstream.FailAsync(context, StatusCodes.Status404NotFound);
        }
        else if (HttpMethods.IsPut(context.Request.Method))
        {
            await PutAsync(context, reference);
        }
        else if (manifests.TryGetValue(reference, out (string MediaType, byte[] Bytes) found))
        {
            context.Response.ContentType = found.MediaType;
            await context.Response.Body.WriteAsync(found.Bytes, context.RequestAborted);
        }
        else
        {
            await PlayedUpstream.FailAsync(context, StatusCodes.Status404NotFound);
        }
    }

    private async Task PutAsync(HttpContext context, string reference)
    {
        using MemoryStream body = new();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        string type = context.Request.ContentType!;
        BeforePut(reference);
        Put(reference, body.ToArray(), type);
        if (KnowsSubjects && ManifestDocument.Parse(body.ToArray(), type).Subject is { } subject)
        {
            context.Response.Headers["OCI-Subject"] = subject.DigestText;
        }

        context.Response.StatusCode = StatusCodes.Status201Created;
    }
}
