using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Testing.Registry;
using Xunit;

namespace Berth.Tests.Registry.Conformance;

/// <summary>A repository for one check, and requests to it as the specification writes them.</summary>
internal sealed class ConformanceRig(TestRegistry registry, string name)
{
    public static readonly byte[] Config = Encoding.UTF8.GetBytes("""{"architecture":"amd64","os":"linux"}""");
    public static readonly byte[] Layer = Encoding.UTF8.GetBytes("a layer of ten and some more bytes");

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public string Name { get; } = "spec/" + name;

    /// <summary>The same for a repository below this one.</summary>
    public ConformanceRig Below(string component) => new(registry, $"{name}/{component}");

    public static Digest Sha256(byte[] bytes) => Digest.Sha256(bytes);

    public static Digest Sha512(byte[] bytes) => Digest.FromHash("sha512", SHA512.HashData(bytes));

    public Task<Answer> GetAsync(string path, params (string, string)[] headers) =>
        SendAsync("GET", path, null, headers);

    public Task<Answer> HeadAsync(string path) => SendAsync("HEAD", path, null);

    public Task<Answer> DeleteAsync(string path) => SendAsync("DELETE", path, null);

    public Task<Answer> PostAsync(string path, byte[]? body = null) => SendAsync("POST", path, body ?? []);

    /// <param name="path">Below this check's repository; from <c>/v2/</c> on when it begins with a slash.</param>
    public async Task<Answer> SendAsync(
        string method, string path, byte[]? body, params (string Name, string Value)[] headers)
    {
        string address = path.StartsWith('/') || path.StartsWith("http", StringComparison.Ordinal)
            ? path : $"/v2/{Name}/{path}";
        using HttpRequestMessage request = new(new HttpMethod(method), address);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        }

        foreach ((string header, string value) in headers)
        {
            request.Content?.Headers.Remove(header);
            Assert.True(
                request.Headers.TryAddWithoutValidation(header, value)
                || request.Content!.Headers.TryAddWithoutValidation(header, value));
        }

        using HttpResponseMessage response = await registry.Client.SendAsync(request, Stop);
        Dictionary<string, string> all = response.Headers.Concat(response.Content.Headers)
            .ToDictionary(h => h.Key, h => string.Join(", ", h.Value), StringComparer.OrdinalIgnoreCase);
        return new Answer(
            $"{method} {address}", response.StatusCode, all, await response.Content.ReadAsByteArrayAsync(Stop));
    }

    /// <summary>Sends a request without the token.</summary>
    public async Task<Answer> AnonymousAsync(string path)
    {
        using HttpClient nobody = registry.ClientWith(null);
        using HttpResponseMessage response = await nobody.GetAsync(path, Stop);
        return new Answer(
            "GET " + path, response.StatusCode,
            response.Headers.Concat(response.Content.Headers)
                .ToDictionary(h => h.Key, h => string.Join(", ", h.Value), StringComparer.OrdinalIgnoreCase),
            await response.Content.ReadAsByteArrayAsync(Stop));
    }

    public async Task<Digest> PushBlobAsync(byte[] content)
    {
        (await PostAsync($"blobs/uploads/?digest={Sha256(content)}", content)).Expect(201);
        return Sha256(content);
    }

    /// <summary>Begins an upload and returns its address.</summary>
    public async Task<string> BeginAsync(string query = "") =>
        (await SendAsync("POST", "blobs/uploads/" + query, [], ("Content-Length", "0"))).Expect(202).Location;

    public Task<Answer> PatchAsync(string upload, byte[] chunk, string range) =>
        SendAsync("PATCH", upload, chunk, ("Content-Range", range));

    public Task<Answer> FinishAsync(string upload, Digest digest, byte[]? chunk = null, string? range = null) =>
        range is null
            ? SendAsync("PUT", $"{upload}?digest={digest}", chunk ?? [])
            : SendAsync("PUT", $"{upload}?digest={digest}", chunk, ("Content-Range", range));

    public Task<Answer> PutManifestAsync(
        string reference, byte[] manifest, string mediaType = MediaTypes.OciManifest) =>
        SendAsync("PUT", $"manifests/{reference}", manifest, ("Content-Type", mediaType));

    /// <summary>Pushes configuration, layer and manifest; returns the manifest's bytes.</summary>
    public async Task<byte[]> PushImageAsync(string reference, Descriptor? subject = null, string? artifactType = null)
    {
        await PushBlobAsync(Config);
        await PushBlobAsync(Layer);
        byte[] manifest = RegistryMessages.Manifest(Config, Layer, subject, artifactType);
        (await PutManifestAsync(reference == "" ? Sha256(manifest).Text : reference, manifest)).Expect(201);
        return manifest;
    }

    public static Descriptor Subject(byte[] manifest) =>
        new(MediaTypes.OciManifest, Sha256(manifest).Text, manifest.Length);
}
