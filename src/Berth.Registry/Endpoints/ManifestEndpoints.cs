using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Access;
using Berth.Registry.Mirrors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Net.Http.Headers;

namespace Berth.Registry.Endpoints;

/// <summary>
/// <c>/v2/NAME/manifests/REFERENCE</c>. Manifests are kept and returned byte by byte as they came. One is accepted when
/// everything it names is in the repository with the size it says.
/// </summary>
internal sealed class ManifestEndpoints(
    ContentStore content, RepositoryStore repositories, MirrorCache mirrors, IImageSharing? sharing,
    IReadOnlyList<IManifestObserver> observers, RegistryCounters counters, ILogger logger)
{
    /// <summary>Each is a file to be synced; the specification asks for ten.</summary>
    private const int MaxTags = 100;

    public async Task GetAsync(HttpContext context, string repository, string reference)
    {
        ManifestLink link = await mirrors.FindManifestAsync(repository, reference, context.RequestAborted)
            ?? throw Unknown(repository, reference);
        if (!Accepts(context.Request, link.MediaType))
        {
            throw new BerthException(
                ErrorCode.ManifestUnknown,
                $"The manifest {reference} is a {link.MediaType}, which the request's Accept header leaves out.");
        }

        HttpResponse response = context.Response;
        response.Headers.ETag = $"\"{link.Digest}\"";
        response.Headers["Docker-Content-Digest"] = link.Digest.Text;
        if (content.Promise(link.Digest) is null)
        {
            throw Unknown(repository, reference);
        }

        if (BlobEndpoints.Matches(context.Request.Headers.IfNoneMatch.ToString(), link.Digest))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        byte[]? bytes = HttpMethods.IsGet(context.Request.Method)
            ? await ReadAsync(link, context.RequestAborted)
            : null;
        response.ContentType = link.MediaType;
        response.ContentLength = link.Size;
        if (bytes is not null)
        {
            counters.ManifestPulled();
            await response.Body.WriteAsync(bytes, context.RequestAborted);
        }
    }

    public async Task PutAsync(HttpContext context, string repository, string reference, RequestAccess access)
    {
        // 1. Read it and find out what it is called.
        bool byDigest = Digest.TryParse(reference, out Digest digest);
        if (!byDigest && !ImageReference.IsTag(reference))
        {
            throw new BerthException(ErrorCode.InvalidDigest, $"'{reference}' is neither a tag nor a digest.");
        }

        byte[] bytes = await ReceiveAsync(context);
        digest = Check(bytes, byDigest ? digest : null);
        ManifestDocument document = ManifestDocument.Parse(bytes, MediaTypeOf(context.Request));
        string[] tags = byDigest ? TagsOf(context.Request) : [reference];
        if (tags.Any(t => repositories.FindTag(repository, t) is { } tagged && tagged.Digest != digest))
        {
            access.Demand(repository, RegistryAction.Overwrite);
        }

        // 2. Hold what it names from here until it is linked, so that the collector can't take it in between.
        using IDisposable lease = content.Lease(
            document.Blobs.Concat(document.Children).Select(d => d.Digest).Append(digest));
        if (FindMissing(repository, document) is { } missing)
        {
            await OciErrors.WriteMissingAsync(context, missing);
            return;
        }

        // 3. Store it, let the observers work on it, and only then make it visible.
        await using (IBlobWriter writer = content.BeginWrite())
        {
            await writer.WriteAsync(bytes, context.RequestAborted);
            await writer.CommitAsync(digest, context.RequestAborted);
        }

        CrashPoints.Reach(CrashPoint.ManifestBytesStored);
        foreach (IManifestObserver observer in observers)
        {
            await observer.OnManifestAsync(repository, digest, document.MediaType, context.RequestAborted);
        }

        CrashPoints.Reach(CrashPoint.ManifestObserved);
        repositories.PutManifest(repository, tags, digest, bytes.Length, document);
        await PublishAsync(context, repository);
        counters.ManifestPushed();
        if (byDigest && tags.Length > 0)
        {
            context.Response.Headers["OCI-Tag"] = string.Join(", ", tags);
        }

        if (document.Subject is { } subject)
        {
            context.Response.Headers["OCI-Subject"] = subject.DigestText;
        }

        context.Response.Headers.Location = $"/v2/{repository}/manifests/{digest}";
        context.Response.Headers["Docker-Content-Digest"] = digest.Text;
        context.Response.StatusCode = StatusCodes.Status201Created;
    }

    public async Task DeleteAsync(HttpContext context, string repository, string reference)
    {
        bool deleted = Digest.TryParse(reference, out Digest digest)
            ? repositories.DeleteManifest(repository, digest)
            : repositories.DeleteTag(repository, reference);
        if (!deleted)
        {
            throw Unknown(repository, reference);
        }

        await PublishAsync(context, repository);
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    /// <summary>Before it is acknowledged, so that who asks another server next finds it there.</summary>
    private Task PublishAsync(HttpContext context, string repository) =>
        sharing?.PublishAsync(repository, context.RequestAborted) ?? Task.CompletedTask;

    private static bool Accepts(HttpRequest request, string mediaType)
    {
        if (!request.Headers.TryGetValue(HeaderNames.Accept, out var header)
            || !MediaTypeHeaderValue.TryParseList(header, out var accepted) || accepted.Count == 0)
        {
            return true;
        }

        return accepted.Any(a => a.MediaType == mediaType || a.MatchesAllTypes
            || a.MediaType.Equals("application/*", StringComparison.OrdinalIgnoreCase)
            || a.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase));
    }

    private static string? MediaTypeOf(HttpRequest request) =>
        string.IsNullOrEmpty(request.ContentType) ? null
        : MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type) ? type.MediaType.ToString()
        : throw new BerthException(
            ErrorCode.ManifestInvalid, $"Content-Type '{request.ContentType}' is not a media type.");

    /// <summary>The tags that a manifest sent by its digest gets besides.</summary>
    private static string[] TagsOf(HttpRequest request)
    {
        string[] tags = [.. request.Query["tag"].OfType<string>().Distinct(StringComparer.Ordinal)];
        if (tags.Length > MaxTags)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"{tags.Length} tags at once are too many: at most {MaxTags} are taken.");
        }

        return tags.FirstOrDefault(t => !ImageReference.IsTag(t)) is { } bad
            ? throw new BerthException(ErrorCode.InvalidReference, $"'{bad}' is not a tag.")
            : tags;
    }

    private static Digest Check(byte[] bytes, Digest? expected)
    {
        Digest actual = expected is { Algorithm: "sha512" }
            ? Digest.FromHash("sha512", SHA512.HashData(bytes))
            : Digest.Sha256(bytes);
        return expected is null || expected == actual
            ? actual
            : throw new BerthException(
                ErrorCode.DigestMismatch, $"The manifest received has the digest {actual}, not {expected}.");
    }

    private static async Task<byte[]> ReceiveAsync(HttpContext context)
    {
        if (context.Request.ContentLength > ManifestDocument.MaxBytes)
        {
            throw TooLarge();
        }

        PipeReader body = context.Request.BodyReader;
        while (true)
        {
            ReadResult read = await body.ReadAsync(context.RequestAborted);
            if (read.Buffer.Length > ManifestDocument.MaxBytes)
            {
                body.AdvanceTo(read.Buffer.End);
                throw TooLarge();
            }

            if (read.IsCompleted)
            {
                byte[] bytes = read.Buffer.ToArray();
                body.AdvanceTo(read.Buffer.End);
                return bytes;
            }

            body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    private static BerthException TooLarge() => new(
        ErrorCode.BodyTooLarge,
        $"The manifest is larger than the {ManifestDocument.MaxBytes} bytes that are accepted.");

    private static BerthException Unknown(string repository, string reference) =>
        new(ErrorCode.ManifestUnknown, $"There is no manifest {reference} in {repository}.");

    private async Task<byte[]> ReadAsync(ManifestLink link, CancellationToken cancellationToken)
    {
        try
        {
            byte[] bytes = new byte[link.Size];
            await using Stream blob = content.OpenVerified(link.Digest);
            await blob.ReadExactlyAsync(bytes, cancellationToken);
            return bytes;
        }
        catch (BerthException damage) when (damage.Code == ErrorCode.DigestMismatch)
        {
            counters.Damaged();
            Log.BlobDamaged(logger, link.Digest, damage.Message);
            throw new BerthException(ErrorCode.ManifestUnknown, damage.Message, damage);
        }
    }

    /// <summary>Says what the repository lacks, or null when all is there; then it is promised to stay.</summary>
    private string? FindMissing(string repository, ManifestDocument document)
    {
        foreach (Descriptor blob in document.Blobs.Where(b => !MediaTypes.IsForeignLayer(b.MediaType)))
        {
            if (!repositories.PromiseBlob(repository, blob.Digest) || content.Promise(blob.Digest) is not { } size)
            {
                return $"The manifest names the blob {blob.Digest}, which {repository} lacks: push it first.";
            }

            CheckSize(blob, size);
        }

        foreach (Descriptor child in document.Children)
        {
            if (repositories.FindManifest(repository, child.Digest) is not { } link
                || content.Promise(child.Digest) is null)
            {
                return $"The index names the manifest {child.Digest}, which {repository} lacks: push it first.";
            }

            CheckSize(child, link.Size);
        }

        return null;
    }

    private static void CheckSize(Descriptor descriptor, long size)
    {
        if (descriptor.Size != size)
        {
            throw new BerthException(
                ErrorCode.SizeInvalid,
                $"The manifest says {descriptor.Digest} has {descriptor.Size} bytes; it has {size}.");
        }
    }
}
