using System.Buffers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Mirrors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Endpoints;

/// <summary>
/// <c>/v2/NAME/blobs/DIGEST</c>. A blob is served whole only if its content still has its digest; a part is served only
/// of a blob that was checked as a whole shortly before.
/// </summary>
internal sealed class BlobEndpoints(
    ContentStore content, RepositoryStore repositories, MirrorCache mirrors, IImageSharing? sharing,
    RegistryCounters counters, ILogger logger)
{
    private const int BlockSize = 256 * 1024;

    public async Task GetAsync(HttpContext context, string repository, Digest digest)
    {
        if (Find(repository, digest) is null && mirrors.Covers(repository)
            && await TryFetchAsync(context, repository, digest))
        {
            return;
        }

        // Not where it is only asked for: whoever pushes is to send it.
        if (sharing is not null && HttpMethods.IsGet(context.Request.Method) && Find(repository, digest) is null)
        {
            await sharing.FetchAsync(repository, digest, context.RequestAborted);
        }

        long size = Find(repository, digest) ?? throw Unknown(repository, digest);
        HttpResponse response = context.Response;
        Describe(response, digest);
        if (Matches(context.Request.Headers.IfNoneMatch.ToString(), digest))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        response.ContentType = "application/octet-stream";
        if (HttpMethods.IsHead(context.Request.Method))
        {
            response.ContentLength = size;
            return;
        }

        ByteRange? range = ByteRange.Parse(context.Request.Headers.Range.ToString(), size);
        if (range is { IsSatisfiable: false })
        {
            response.Headers.ContentRange = $"bytes */{size}";
            await OciErrors.WriteAsync(
                context, 416, "SIZE_INVALID",
                $"The range '{context.Request.Headers.Range}' is not within the blob's {size} bytes.");
            return;
        }

        try
        {
            await (range is { } part
                ? SendPartAsync(context, digest, part, size)
                : SendWholeAsync(context, digest, size));
        }
        catch (BerthException damage) when (damage.Code == ErrorCode.DigestMismatch)
        {
            counters.Damaged();
            Log.BlobDamaged(logger, digest, damage.Message);
            if (response.HasStarted)
            {
                context.Abort();
                return;
            }

            response.Headers.Clear();
            throw new BerthException(ErrorCode.BlobUnknown, damage.Message, damage);
        }
    }

    public async Task DeleteAsync(HttpContext context, string repository, Digest digest)
    {
        foreach (ManifestLink link in repositories.Manifests(repository))
        {
            if (content.SizeOf(link.Digest) is not null
                && await NamesAsync(link, digest, context.RequestAborted))
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"The blob {digest} is part of the manifest {link.Digest}: delete that one first.");
            }
        }

        if (!repositories.UnlinkBlob(repository, digest))
        {
            throw Unknown(repository, digest);
        }

        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    internal static bool Matches(string ifNoneMatch, Digest digest) =>
        ifNoneMatch.Length > 0 && ifNoneMatch.Split(',', StringSplitOptions.TrimEntries)
            .Any(tag => tag == "*" || tag.TrimStart('W', '/').Trim('"') == digest.Text);

    private static void Describe(HttpResponse response, Digest digest)
    {
        response.Headers.ETag = $"\"{digest}\"";
        response.Headers["Docker-Content-Digest"] = digest.Text;
        response.Headers.AcceptRanges = "bytes";
        response.Headers.CacheControl = "private, max-age=31536000, immutable";
    }

    // Asking is a promise: a client that is told of a blob does not send it.
    private long? Find(string repository, Digest digest) =>
        repositories.PromiseBlob(repository, digest) ? content.Promise(digest) : null;

    /// <summary>Answers with what upstream has. False when it has none, or when it is here by now.</summary>
    private async Task<bool> TryFetchAsync(HttpContext context, string repository, Digest digest)
    {
        HttpResponse response = context.Response;
        if (HttpMethods.IsHead(context.Request.Method))
        {
            if (await mirrors.SizeOfAsync(repository, digest, context.RequestAborted) is not { } size)
            {
                return false;
            }

            Describe(response, digest);
            response.ContentType = "application/octet-stream";
            response.ContentLength = size;
            return true;
        }

        if (await mirrors.FetchAsync(repository, digest, context.RequestAborted) is not { } fetch)
        {
            return false;
        }

        if (fetch.Blob.Size == 0 || context.Request.Headers.Range.Count > 0)
        {
            await fetch.Completion.WaitAsync(context.RequestAborted);
            return false;
        }

        void Begin()
        {
            Describe(response, digest);
            response.ContentType = "application/octet-stream";
            response.ContentLength = fetch.Blob.Size;
        }

        return await fetch.TryCopyToAsync(response.Body, Begin, context.RequestAborted);
    }

    private static BerthException Unknown(string repository, Digest digest) =>
        new(ErrorCode.BlobUnknown, $"There is no blob {digest} in {repository}.");

    private async Task<bool> NamesAsync(ManifestLink link, Digest digest, CancellationToken cancellationToken)
    {
        ImageCatalog catalog = new(repositories, content);
        ManifestDocument document = await catalog.ReadAsync(link.Digest, link.MediaType, cancellationToken);
        return document.Blobs.Any(b => b.Digest == digest);
    }

    private async Task SendWholeAsync(HttpContext context, Digest digest, long size)
    {
        await using Stream blob = content.OpenVerified(digest);
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockSize);
        try
        {
            // The first block before the headers: damage in a small blob is still an error with a text.
            int read = await blob.ReadAsync(block, context.RequestAborted);
            context.Response.ContentLength = size;
            while (read > 0)
            {
                await context.Response.Body.WriteAsync(block.AsMemory(0, read), context.RequestAborted);
                counters.Sent(read);
                read = await blob.ReadAsync(block, context.RequestAborted);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private async Task SendPartAsync(HttpContext context, Digest digest, ByteRange range, long size)
    {
        await content.VerifyAsync(digest, context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status206PartialContent;
        context.Response.Headers.ContentRange = $"bytes {range.First}-{range.Last}/{size}";
        context.Response.ContentLength = range.Length;
        await using Stream blob = content.OpenRead(digest);
        blob.Position = range.First;
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockSize);
        try
        {
            for (long left = range.Length; left > 0;)
            {
                int read = await blob.ReadAsync(
                    block.AsMemory(0, (int)Math.Min(left, block.Length)), context.RequestAborted);
                if (read == 0)
                {
                    throw new EndOfStreamException($"The blob {digest} ended early.");
                }

                await context.Response.Body.WriteAsync(block.AsMemory(0, read), context.RequestAborted);
                counters.Sent(read);
                left -= read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }
}
