using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Xunit;

namespace Berth.Testing.Registry;

/// <summary>Requests of the distribution protocol as tests make them, and small images to send.</summary>
public static class RegistryMessages
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Pushes a blob in one request.</summary>
    public static async Task<Digest> PushBlobAsync(
        this HttpClient client, string repository, ReadOnlyMemory<byte> content)
    {
        Digest digest = Digest.Sha256(content.Span);
        using HttpResponseMessage response = await client.PostAsync(
            $"/v2/{repository}/blobs/uploads/?digest={digest}", Bytes(content), Stop);
        await ExpectAsync(HttpStatusCode.Created, response);
        return digest;
    }

    /// <summary>Pushes configuration, one layer and manifest of a small image; returns the manifest's bytes.</summary>
    public static async Task<byte[]> PushImageAsync(
        this HttpClient client, string repository, string tag, string content, Descriptor? subject = null,
        string? artifactType = null)
    {
        byte[] layer = Encoding.UTF8.GetBytes(content);
        byte[] config = Encoding.UTF8.GetBytes(
            """{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z","config":{"Cmd":["/bin/true"]},"""
            + $$$""" "rootfs":{"type":"layers","diff_ids":["{{{Digest.Sha256(layer)}}}"]}}""");
        await client.PushBlobAsync(repository, layer);
        await client.PushBlobAsync(repository, config);
        byte[] manifest = Manifest(config, layer, subject, artifactType);
        using HttpResponseMessage response = await client.PutManifestAsync(repository, tag, manifest);
        await ExpectAsync(HttpStatusCode.Created, response);
        return manifest;
    }

    public static Task<HttpResponseMessage> PutManifestAsync(
        this HttpClient client, string repository, string reference, byte[] manifest,
        string mediaType = MediaTypes.OciManifest)
    {
        ByteArrayContent body = new(manifest);
        body.Headers.ContentType = MediaTypeHeaderValue.Parse(mediaType);
        return client.PutAsync($"/v2/{repository}/manifests/{reference}", body, Stop);
    }

    /// <summary>An image manifest over a configuration and one layer.</summary>
    public static byte[] Manifest(
        byte[] config, byte[] layer, Descriptor? subject = null, string? artifactType = null) =>
        JsonSerializer.SerializeToUtf8Bytes(
            new ImageManifest(
                2, MediaTypes.OciManifest,
                new Descriptor(MediaTypes.OciConfig, Digest.Sha256(config).Text, config.Length),
                [new Descriptor(MediaTypes.OciLayer, Digest.Sha256(layer).Text, layer.Length)],
                subject, artifactType),
            OciJson.Default.ImageManifest);

    /// <summary>An index over manifests.</summary>
    public static byte[] Index(params IEnumerable<byte[]> manifests) =>
        JsonSerializer.SerializeToUtf8Bytes(
            new ImageIndex(
                2, MediaTypes.OciIndex,
                [.. manifests.Select(m => new Descriptor(
                    MediaTypes.OciManifest, Digest.Sha256(m).Text, m.Length, new Platform("amd64", "linux")))]),
            OciJson.Default.ImageIndex);

    public static ByteArrayContent Bytes(ReadOnlyMemory<byte> content)
    {
        ByteArrayContent body = new(content.ToArray());
        body.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        return body;
    }

    /// <summary>Checks a status; the message of a failure has the server's answer.</summary>
    public static async Task ExpectAsync(HttpStatusCode expected, HttpResponseMessage response) =>
        Assert.True(
            expected == response.StatusCode,
            $"expected {(int)expected}, got {(int)response.StatusCode}: "
            + await response.Content.ReadAsStringAsync(Stop));

    /// <summary>Checks a refusal: status and OCI error code.</summary>
    public static async Task ExpectErrorAsync(HttpStatusCode expected, string code, HttpResponseMessage response)
    {
        await ExpectAsync(expected, response);
        using JsonDocument body = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(Stop));
        JsonElement error = body.RootElement.GetProperty("errors")[0];
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.NotEmpty(error.GetProperty("message").GetString()!);
    }

    public static async Task<JsonElement> JsonAsync(this HttpResponseMessage response)
    {
        using JsonDocument body = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(Stop));
        return body.RootElement.Clone();
    }

    public static string Header(this HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out IEnumerable<string>? values) ? string.Join(',', values)
        : response.Content.Headers.TryGetValues(name, out values) ? string.Join(',', values)
        : "";
}
