using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>One repository of a registry somewhere: pulls manifests and blobs, pushes both.</summary>
public sealed partial class RegistryRepository : IImageOrigin, IImageTarget
{
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(60);

    private readonly HttpClient client;
    private readonly Uri root;
    private readonly string name;
    private readonly TimeProvider time;

    internal RegistryRepository(HttpClient client, Uri address, string name, TimeProvider time)
    {
        this.client = client;
        this.name = name;
        this.time = time;
        root = new Uri(address, $"/v2/{name}/");
    }

    /// <summary>
    /// A repository of the same registry that blobs may be taken from on the server's side when pushing.
    /// </summary>
    internal string? MountFrom { get; init; }

    public async Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = ManifestRequest(HttpMethod.Get, tagOrDigest);
        using HttpResponseMessage response = await SendAsync(request, cancellationToken);
        await CheckManifestAsync(response, tagOrDigest, cancellationToken);
        await using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken);
        byte[] bytes = await BlobReading.ReadAsync(
            body, $"The manifest '{tagOrDigest}'", ManifestDocument.MaxBytes, cancellationToken);
        if (Digest.TryParse(tagOrDigest, out Digest asked))
        {
            BlobReading.Verify(bytes, asked);
        }

        string? announced = response.Content.Headers.ContentType?.MediaType;
        ManifestDocument document = ManifestDocument.Parse(
            bytes, announced is not null && (MediaTypes.IsIndex(announced) || MediaTypes.IsManifest(announced))
                ? announced : null);
        return new ManifestContent(asked.IsEmpty ? Digest.Sha256(bytes) : asked, document.MediaType, bytes);
    }

    /// <summary>The digest that a tag names now, as far as the registry tells it; null when it does not. Throws
    /// BerthException(ImageNotFound).</summary>
    public async Task<Digest?> DigestOfAsync(string tag, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = ManifestRequest(HttpMethod.Head, tag);
        using HttpResponseMessage response = await SendAsync(request, cancellationToken);
        await CheckManifestAsync(response, tag, cancellationToken);
        return response.Headers.TryGetValues("Docker-Content-Digest", out IEnumerable<string>? told)
            && Digest.TryParse(told.First(), out Digest digest) ? digest : null;
    }

    /// <summary>The size of a blob, or null when it is not there.</summary>
    public async Task<long?> SizeOfBlobAsync(Digest digest, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, new Uri(root, $"blobs/{digest}"));
        using HttpResponseMessage response = await SendAsync(request, cancellationToken);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }

        await CheckAsync(response, $"asking for the blob {digest}", cancellationToken);
        return response.Content.Headers.ContentLength ?? throw new BerthException(
            ErrorCode.Upstream, $"{root.Authority} does not say how large the blob {digest} is.");
    }

    public Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken) =>
        ResumingBlob.OpenAsync(blob, (from, stop) => GetBlobAsync(blob, from, stop), time, cancellationToken);

    public async Task<bool> HasBlobAsync(Descriptor blob, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, new Uri(root, $"blobs/{blob.Digest}"));
        using HttpResponseMessage response = await SendAsync(request, cancellationToken);
        return response.StatusCode == HttpStatusCode.OK || await TryMountAsync(blob, cancellationToken);
    }

    public async Task PutBlobAsync(Descriptor blob, Stream content, CancellationToken cancellationToken)
    {
        using var begin = new HttpRequestMessage(HttpMethod.Post, new Uri(root, "blobs/uploads/"));
        begin.Content = new ByteArrayContent([]);
        using HttpResponseMessage begun = await SendAsync(begin, cancellationToken);
        await CheckAsync(begun, $"beginning the upload of {blob.Digest}", cancellationToken);
        Uri location = begun.Headers.Location is { } given
            ? new Uri(begin.RequestUri!, given)
            : throw new BerthException(ErrorCode.Upstream, $"{root.Authority} began an upload without saying where.");
        string separator = location.Query.Length > 1 ? "&" : "?";
        using var put = new HttpRequestMessage(
            HttpMethod.Put, new Uri($"{location}{separator}digest={Uri.EscapeDataString(blob.DigestText)}"));
        put.Content = new StreamContent(content, 256 * 1024);
        put.Content.Headers.ContentLength = blob.Size;
        put.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using HttpResponseMessage done = await SendAsync(put, cancellationToken, endless: true);
        await CheckAsync(done, $"uploading {blob.Digest}", cancellationToken);
    }

    public async Task PutManifestAsync(ManifestContent manifest, string? tag, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(
            HttpMethod.Put, new Uri(root, $"manifests/{tag ?? manifest.Digest.Text}"));
        request.Content = new ByteArrayContent(manifest.Bytes);
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(manifest.MediaType);
        using HttpResponseMessage response = await SendAsync(request, cancellationToken);
        await CheckAsync(response, $"publishing the manifest '{tag ?? manifest.Digest.Text}'", cancellationToken);
        if (!response.Headers.Contains("OCI-Subject") && manifest.Parse().Subject is { } subject)
        {
            await ListReferrerAsync(subject.Digest, manifest, cancellationToken);
        }
    }

    private HttpRequestMessage ManifestRequest(HttpMethod method, string tagOrDigest)
    {
        var request = new HttpRequestMessage(method, new Uri(root, $"manifests/{tagOrDigest}"));
        foreach (
            string type in (
                string[])[MediaTypes.OciManifest, MediaTypes.OciIndex, MediaTypes.DockerManifest,
                    MediaTypes.DockerList])
        {
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(type));
        }

        return request;
    }

    private Task CheckManifestAsync(
        HttpResponseMessage response, string tagOrDigest, CancellationToken cancellationToken) =>
        response.StatusCode == HttpStatusCode.NotFound
            ? throw new BerthException(
                ErrorCode.ImageNotFound, $"There is no image {name} '{tagOrDigest}' at {root.Authority}.")
            : CheckAsync(response, $"reading the manifest '{tagOrDigest}'", cancellationToken);

    /// <summary>Has the registry take the blob from <see cref="MountFrom"/>. One that does not begins an upload
    /// instead, which is ended again.</summary>
    private async Task<bool> TryMountAsync(Descriptor blob, CancellationToken cancellationToken)
    {
        if (MountFrom is null)
        {
            return false;
        }

        string query = $"?mount={Uri.EscapeDataString(blob.DigestText)}&from={Uri.EscapeDataString(MountFrom)}";
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(root, "blobs/uploads/" + query));
        request.Content = new ByteArrayContent([]);
        using HttpResponseMessage response = await SendAsync(request, cancellationToken);
        await CheckAsync(response, $"taking {blob.Digest} from {MountFrom}", cancellationToken);
        if (response.StatusCode != HttpStatusCode.Created && response.Headers.Location is { } location)
        {
            using var end = new HttpRequestMessage(HttpMethod.Delete, new Uri(request.RequestUri!, location));
            using HttpResponseMessage ended = await SendAsync(end, cancellationToken);
        }

        return response.StatusCode == HttpStatusCode.Created;
    }

    private async Task<HttpResponseMessage> GetBlobAsync(
        Descriptor blob, long from, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(root, $"blobs/{blob.Digest}"));
        if (from > 0)
        {
            request.Headers.Range = new RangeHeaderValue(from, null);
        }

        HttpResponseMessage response = await SendAsync(request, cancellationToken);
        try
        {
            if (response.StatusCode == HttpStatusCode.NotFound)
            {
                throw new BerthException(
                    ErrorCode.BlobUnknown, $"There is no blob {blob.Digest} in {name} at {root.Authority}.");
            }

            await CheckAsync(response, $"reading the blob {blob.Digest}", cancellationToken);
            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <param name="endless">Whether sending the body may take any time; the answer must come soon in any case.</param>
    private async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken, bool endless = false)
    {
        using var late = new CancellationTokenSource(endless ? Timeout.InfiniteTimeSpan : AnswerWithin, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        try
        {
            return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
        }
        catch (OperationCanceledException) when (
            late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"{root.Authority} did not answer within {AnswerWithin.TotalSeconds:0} s.");
        }
        catch (HttpRequestException e) when (e.InnerException is BerthException inner)
        {
            throw new BerthException(inner.Code, inner.Message, inner);
        }
        catch (HttpRequestException e)
        {
            throw new BerthException(
                ErrorCode.Upstream, $"{root.Authority} can't be reached: {e.GetBaseException().Message}", e);
        }
    }

    private async Task CheckAsync(HttpResponseMessage response, string doing, CancellationToken cancellationToken)
    {
        if (response.IsSuccessStatusCode)
        {
            return;
        }

        string said = await ReadErrorAsync(response, cancellationToken);
        ErrorCode code = response.StatusCode switch
        {
            HttpStatusCode.Unauthorized => ErrorCode.Unauthorized,
            HttpStatusCode.Forbidden => ErrorCode.Forbidden,
            _ => ErrorCode.Upstream,
        };
        throw new BerthException(
            code, $"{root.Authority} refused {doing} in {name}: status {(int)response.StatusCode}{said}")
        {
            RetryAfter = response.Headers.RetryAfter?.Delta,
        };
    }

    /// <summary>The registry's own words, if it has any (distribution specification, "Error Codes").</summary>
    private static async Task<string> ReadErrorAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        const int MaxBytes = 64 * 1024;
        try
        {
            await using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken);
            byte[] bytes = await BlobReading.ReadAsync(body, "The answer", MaxBytes, cancellationToken);
            using JsonDocument json = JsonDocument.Parse(bytes);
            JsonElement first = json.RootElement.GetProperty("errors")[0];
            string text = $"{first.GetProperty("code").GetString()} {first.GetProperty("message").GetString()}";
            return ", " + string.Concat(text.Where(c => !char.IsControl(c)).Take(300));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or IOException
            or HttpRequestException or BerthException or IndexOutOfRangeException)
        {
            return "";
        }
    }
}
