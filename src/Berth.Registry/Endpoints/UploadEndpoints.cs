using System.IO.Pipelines;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Repositories;
using Berth.Registry.Access;
using Berth.Registry.Uploads;
using Microsoft.AspNetCore.Http;

namespace Berth.Registry.Endpoints;

/// <summary>
/// <c>/v2/NAME/blobs/uploads/</c>: blobs in one request, in one stream (docker), in numbered chunks, or mounted from
/// another repository. Bodies go straight to the upload's file.
/// </summary>
internal sealed class UploadEndpoints(
    RegistryOptions options, ContentStore content, RepositoryStore repositories, UploadStore uploads,
    RegistryCounters counters)
{
    /// <summary>POST: begins an upload, or takes the whole blob (<c>digest=</c>), or mounts one (<c>mount=</c>), from
    /// any repository that the caller may pull unless <c>from=</c> names one.</summary>
    public async Task StartAsync(HttpContext context, string repository, RequestAccess access)
    {
        IQueryCollection query = context.Request.Query;
        if (query.TryGetValue("mount", out var mount)
            && Digest.Parse(mount.ToString()) is var wanted && TryMount(repository, wanted, query, access))
        {
            WriteCreated(context, repository, wanted);
            return;
        }

        CheckAlgorithm(query["digest-algorithm"].ToString());
        Digest? expected = query.TryGetValue("digest", out var digest) ? Digest.Parse(digest.ToString()) : null;
        UploadSession session = await uploads.StartAsync(repository);
        if (expected is null)
        {
            await uploads.LeaveAsync(session);
            WriteProgress(context, session, StatusCodes.Status202Accepted);
            return;
        }

        try
        {
            await ReceiveAsync(context, session, limit: null);
            await CommitAsync(context, session, expected.Value);
        }
        catch
        {
            await uploads.EndAsync(session);
            throw;
        }
    }

    /// <summary>PATCH: appends. With <c>Content-Range</c> it must continue exactly where the upload stands.</summary>
    public async Task AppendAsync(HttpContext context, string repository, string id)
    {
        UploadSession session = await uploads.EnterAsync(id, repository, context.RequestAborted);
        try
        {
            if (await CheckOrderAsync(context, session) is { } limit)
            {
                await ReceiveAsync(context, session, limit < 0 ? null : limit);
                await session.Writer!.FlushAsync();
                CrashPoints.Reach(CrashPoint.UploadAppended);
                WriteProgress(context, session, StatusCodes.Status202Accepted);
            }
        }
        catch (BerthException e) when (
            e.Code is ErrorCode.StorageFull or ErrorCode.BodyTooLarge or ErrorCode.QuotaExceeded)
        {
            await uploads.EndAsync(session);
            throw;
        }
        catch
        {
            // What arrived before the connection broke counts: the client asks how much and goes on.
            await uploads.LeaveAsync(session);
            throw;
        }

        await uploads.LeaveAsync(session);
    }

    /// <summary>PUT: takes the last bytes, if any, and makes the blob.</summary>
    public async Task FinishAsync(HttpContext context, string repository, string id)
    {
        Digest expected = Digest.Parse(context.Request.Query["digest"].ToString());
        UploadSession session = await uploads.EnterAsync(id, repository, context.RequestAborted);
        try
        {
            if (await CheckOrderAsync(context, session) is { } limit)
            {
                await ReceiveAsync(context, session, limit < 0 ? null : limit);
                await CommitAsync(context, session, expected);
                return;
            }
        }
        catch (BerthException e) when (e.Code != ErrorCode.RequestTimeout)
        {
            await uploads.EndAsync(session);
            throw;
        }
        catch
        {
            await uploads.LeaveAsync(session);
            throw;
        }

        await uploads.LeaveAsync(session);
    }

    /// <summary>GET: how much arrived.</summary>
    public async Task StatusAsync(HttpContext context, string repository, string id)
    {
        UploadSession session = await uploads.EnterAsync(id, repository, context.RequestAborted);
        WriteProgress(context, session, StatusCodes.Status204NoContent);
        await uploads.LeaveAsync(session);
    }

    /// <summary>DELETE: forgets the upload.</summary>
    public async Task CancelAsync(HttpContext context, string repository, string id)
    {
        UploadSession session = await uploads.EnterAsync(id, repository, context.RequestAborted);
        await uploads.EndAsync(session);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private static void WriteProgress(HttpContext context, UploadSession session, int status)
    {
        IHeaderDictionary headers = context.Response.Headers;
        headers.Location = $"/v2/{session.Repository}/blobs/uploads/{session.Id}";

        // An upload that holds nothing yet is also written 0-0, for want of a way to write an empty range.
        headers.Range = $"0-{Math.Max(0, session.Length - 1)}";
        headers["Docker-Upload-UUID"] = session.Id;
        context.Response.StatusCode = status;
    }

    private static void WriteCreated(HttpContext context, string repository, Digest digest)
    {
        context.Response.Headers.Location = $"/v2/{repository}/blobs/{digest}";
        context.Response.Headers["Docker-Content-Digest"] = digest.Text;
        context.Response.StatusCode = StatusCodes.Status201Created;
    }

    /// <summary>
    /// Checks a chunk's place. Returns its length, -1 when it has none given, or null when it was refused.
    /// </summary>
    private static async Task<long?> CheckOrderAsync(HttpContext context, UploadSession session)
    {
        string header = context.Request.Headers.ContentRange.ToString();
        if (header.Length == 0)
        {
            return -1;
        }

        if (!ContentRange.TryParse(header, out ContentRange range))
        {
            throw new BerthException(
                ErrorCode.BlobUploadInvalid, $"Content-Range '{Quoted.Of(header)}' is not a range such as 0-1023.");
        }

        if (range.First != session.Length)
        {
            WriteProgress(context, session, StatusCodes.Status416RangeNotSatisfiable);
            await OciErrors.WriteAsync(
                context, 416, "BLOB_UPLOAD_INVALID",
                $"The chunk begins at {range.First} but {session.Length} bytes have arrived: go on from there.");
            return null;
        }

        return context.Request.ContentLength is not { } length || length == range.Length
            ? range.Length
            : throw new BerthException(
                ErrorCode.SizeInvalid,
                $"Content-Range '{Quoted.Of(header)}' has {range.Length} bytes, the body has {length}.");
    }

    private bool TryMount(string repository, Digest digest, IQueryCollection query, RequestAccess access)
    {
        // A blob that is nowhere is in no repository: most of those asked for need no search.
        if (content.SizeOf(digest) is null)
        {
            return false;
        }

        IEnumerable<string> sources = query.TryGetValue("from", out var from)
            ? [from.ToString()]
            : repositories.AllNames();
        bool found = sources.Any(source => ImageReference.IsRepository(source)
            && access.May(source, RegistryAction.Pull) && repositories.PromiseBlob(source, digest));
        if (!found || content.Promise(digest) is null)
        {
            return false;
        }

        repositories.LinkBlob(repository, digest);
        return true;
    }

    private static void CheckAlgorithm(string algorithm)
    {
        if (algorithm is not ("" or "sha256" or "sha512"))
        {
            throw new BerthException(
                ErrorCode.InvalidDigest, $"digest-algorithm={Quoted.Of(algorithm)} is neither sha256 nor sha512.");
        }
    }

    private async Task CommitAsync(HttpContext context, UploadSession session, Digest expected)
    {
        await uploads.CommitAsync(session, expected, context.RequestAborted);
        CrashPoints.Reach(CrashPoint.UploadCommitted);
        repositories.LinkBlob(session.Repository, expected);
        CrashPoints.Reach(CrashPoint.BlobLinked);
        counters.BlobPushed();
        WriteCreated(context, session.Repository, expected);
    }

    private async Task ReceiveAsync(HttpContext context, UploadSession session, long? limit)
    {
        RequestSizes.Limit(context, null);
        RepositoryQuota? quota = repositories.SmallestQuotaOf(session.Repository);
        CheckSize(session.Length + (context.Request.ContentLength ?? 0), quota);
        BlobFile writer = session.Writer!;
        PipeReader body = context.Request.BodyReader;
        long received = 0;
        while (true)
        {
            ReadResult read = await body.ReadAsync(context.RequestAborted);
            received += read.Buffer.Length;
            try
            {
                CheckSize(writer.Length + read.Buffer.Length, quota);
                if (received > limit)
                {
                    throw new BerthException(
                        ErrorCode.SizeInvalid,
                        $"The body is longer than the {limit} bytes that Content-Range announced.");
                }

                foreach (ReadOnlyMemory<byte> segment in read.Buffer)
                {
                    await writer.WriteAsync(segment, context.RequestAborted);
                }
            }
            finally
            {
                // Also where it is refused: what was read and not given back would cost the connection.
                counters.Received(read.Buffer.Length);
                body.AdvanceTo(read.Buffer.End);
            }

            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    private void CheckSize(long size, RepositoryQuota? quota)
    {
        // Whether there is room is known at the end; what is larger than the whole quota need not get there.
        if (size > quota?.Bytes)
        {
            throw new BerthException(
                ErrorCode.QuotaExceeded,
                $"The blob has at least {size} bytes, but all of '{quota.Scope}' may hold {quota.Bytes}: have the "
                + "quota raised.");
        }

        if (size > options.MaxBlobBytes)
        {
            throw new BerthException(
                ErrorCode.BodyTooLarge,
                $"The blob has at least {size} bytes; at most {options.MaxBlobBytes} are accepted (upload-limit).");
        }
    }
}
