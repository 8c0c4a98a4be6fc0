namespace Berth.Core.Errors;

/// <summary>
/// Everything a caller can be refused for. The name on the wire, the HTTP status, the registry's code and the exit code
/// of each stand in one table: <c>Berth.Api.Errors.ErrorCatalog</c>.
/// </summary>
public enum ErrorCode
{
    /// <summary>A defect of Berth itself; the text says no more than the caller may know.</summary>
    Internal,
    InvalidRequest,
    InvalidReference,
    InvalidDigest,
    InvalidConfiguration,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ImageNotFound,
    RunNotFound,
    Conflict,
    IdempotencyConflict,
    BodyTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    QueueFull,
    ShuttingDown,
    StorageFull,

    /// <summary>Writing to the store failed for another reason than a full disk.</summary>
    StorageFault,

    /// <summary>The store gave back something else than was written.</summary>
    StorageDamaged,
    CallbackForbidden,

    /// <summary>A repository policy forbids to move or remove the tag.</summary>
    TagImmutable,

    /// <summary>The repositories below a prefix hold as much as they may.</summary>
    QuotaExceeded,
    ManifestInvalid,
    ManifestUnknown,
    BlobUnknown,
    BlobUploadUnknown,
    BlobUploadInvalid,
    DigestMismatch,
    SizeInvalid,
    ArchiveRefused,
    Upstream,
    ResultExpired,
    RunFailed,
    RunTimedOut,
    RunOutOfMemory,
    RunEntryPointMissing,
    RunNotRunnable,
    RunOutputLimit,
    RunCanceled,
    NodeFault,

    /// <summary>No node is as asked, has room and takes new work.</summary>
    NoNode,
    MissingTool,
    ServerUnreachable,
}
