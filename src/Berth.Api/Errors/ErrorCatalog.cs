using System.Collections.Frozen;
using Berth.Core.Errors;

namespace Berth.Api.Errors;

/// <summary>How one error code looks from outside.</summary>
/// <param name="Code">Stable name on the wire (<c>code</c> of the problem document).</param>
/// <param name="Status">HTTP status.</param>
/// <param name="Title">What kind of problem it is; the same for every occurrence (RFC 9457).</param>
/// <param name="ExitCode">Exit code of the command line.</param>
public sealed record ErrorEntry(ErrorCode Error, string Code, int Status, string Title, int ExitCode);

/// <summary>The one table of error codes: the only place where a code meets a status or an exit code.</summary>
public static class ErrorCatalog
{
    private static readonly ErrorEntry[] Entries =
    [
        new(ErrorCode.Internal, "internal", 500, "Berth failed", 70),
        new(ErrorCode.InvalidRequest, "invalid_request", 400, "The request is not valid", 64),
        new(ErrorCode.InvalidReference, "invalid_reference", 400, "The image reference is not valid", 64),
        new(ErrorCode.InvalidDigest, "invalid_digest", 400, "The digest is not valid", 64),
        new(ErrorCode.InvalidConfiguration, "invalid_configuration", 500, "The configuration is not valid", 78),
        new(ErrorCode.Unauthorized, "unauthorized", 401, "A valid token is needed", 77),
        new(ErrorCode.Forbidden, "forbidden", 403, "This token may not do that", 77),
        new(ErrorCode.NotFound, "not_found", 404, "There is no such thing", 66),
        new(ErrorCode.MethodNotAllowed, "method_not_allowed", 405, "This address does not take that method", 64),
        new(ErrorCode.RequestTimeout, "request_timeout", 408, "The request came too slowly", 75),
        new(ErrorCode.ImageNotFound, "image_not_found", 404, "There is no such image", 66),
        new(ErrorCode.RunNotFound, "run_not_found", 404, "There is no such run", 66),
        new(ErrorCode.Conflict, "conflict", 409, "The state does not allow that", 75),
        new(ErrorCode.IdempotencyConflict, "idempotency_conflict", 409,
            "The idempotency key was used for another request", 64),
        new(ErrorCode.BodyTooLarge, "body_too_large", 413, "The body is too large", 65),
        new(ErrorCode.UnsupportedMediaType, "unsupported_media_type", 415, "The media type is not supported", 65),
        new(ErrorCode.RangeNotSatisfiable, "range_not_satisfiable", 416, "The range is not available", 65),
        new(ErrorCode.QueueFull, "queue_full", 429, "Too much work is waiting", 75),
        new(ErrorCode.ShuttingDown, "shutting_down", 503, "The server is stopping", 75),
        new(ErrorCode.StorageFull, "storage_full", 507, "The disk is full", 75),
        new(ErrorCode.StorageFault, "storage_fault", 503, "The store can't be written", 75),
        new(ErrorCode.StorageDamaged, "storage_damaged", 500, "The store is damaged", 65),
        new(ErrorCode.CallbackForbidden, "callback_forbidden", 400, "The callback address is not allowed", 64),
        new(ErrorCode.TagImmutable, "tag_immutable", 409, "The tag may not be changed", 77),
        new(ErrorCode.QuotaExceeded, "quota_exceeded", 403, "The repository's quota is used up", 77),
        new(ErrorCode.ManifestInvalid, "manifest_invalid", 400, "The manifest is not valid", 65),
        new(ErrorCode.ManifestUnknown, "manifest_unknown", 404, "There is no such manifest", 66),
        new(ErrorCode.BlobUnknown, "blob_unknown", 404, "There is no such blob", 66),
        new(ErrorCode.BlobUploadUnknown, "blob_upload_unknown", 404, "There is no such upload", 66),
        new(ErrorCode.BlobUploadInvalid, "blob_upload_invalid", 400, "The upload is not valid", 65),
        new(ErrorCode.DigestMismatch, "digest_mismatch", 400, "The content does not have the digest it claims", 65),
        new(ErrorCode.SizeInvalid, "size_invalid", 400, "The content does not have the size it claims", 65),
        new(ErrorCode.ArchiveRefused, "archive_refused", 400, "The archive was refused", 65),
        new(ErrorCode.Upstream, "upstream", 502, "Another server failed", 69),
        new(ErrorCode.ResultExpired, "result_expired", 410, "The result is no longer kept", 66),
        new(ErrorCode.RunFailed, "run_failed", 502, "The program failed", 1),
        new(ErrorCode.RunTimedOut, "run_timed_out", 504, "The program did not end in time", 124),
        new(ErrorCode.RunOutOfMemory, "run_out_of_memory", 502, "The program needed more memory than it may use", 137),
        new(ErrorCode.RunEntryPointMissing, "run_entry_point_missing", 502, "The command can't be executed", 127),
        new(ErrorCode.RunNotRunnable, "run_not_runnable", 502, "The image can't be run as asked", 126),
        new(ErrorCode.RunOutputLimit, "run_output_limit", 502, "The program wrote too much", 125),
        new(ErrorCode.RunCanceled, "run_canceled", 409, "The run was cancelled", 130),
        new(ErrorCode.NodeFault, "node_fault", 503, "The machine could not run it", 71),
        new(ErrorCode.NoNode, "no_node", 503, "No node can take it", 69),
        new(ErrorCode.MissingTool, "missing_tool", 503, "A program that Berth needs is missing", 69),
        new(ErrorCode.ServerUnreachable, "server_unreachable", 503, "The server that has it can't be reached", 69),
    ];

    private static readonly FrozenDictionary<ErrorCode, ErrorEntry> ByCode = Entries.ToFrozenDictionary(e => e.Error);

    private static readonly FrozenDictionary<string, ErrorEntry> ByName = Entries.ToFrozenDictionary(e => e.Code);

    public static IReadOnlyList<ErrorEntry> All => Entries;

    public static ErrorEntry Find(ErrorCode code) => ByCode[code];

    /// <summary>
    /// The entry of a code received from a server; an unknown one is taken as <see cref="ErrorCode.Internal"/>.
    /// </summary>
    public static ErrorEntry Find(string code) => ByName.GetValueOrDefault(code, ByCode[ErrorCode.Internal]);
}
