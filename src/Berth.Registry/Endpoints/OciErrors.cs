using System.Text.Json.Serialization;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;

namespace Berth.Registry.Endpoints;

/// <summary>Error body of the distribution specification ("Error Codes").</summary>
internal sealed record OciErrorList([property: JsonPropertyName("errors")] IReadOnlyList<OciError> Errors);

internal sealed record OciError(
    [property: JsonPropertyName("code")] string Code,
    [property: JsonPropertyName("message")] string Message);

/// <summary>
/// How Berth's refusals look to registry clients: the one place where they meet a status and an OCI code.
/// </summary>
internal static class OciErrors
{
    public static (int Status, string Code) Find(ErrorCode code) => code switch
    {
        ErrorCode.InvalidRequest => (400, "UNSUPPORTED"),
        ErrorCode.InvalidReference => (400, "NAME_INVALID"),
        ErrorCode.InvalidDigest or ErrorCode.DigestMismatch => (400, "DIGEST_INVALID"),
        ErrorCode.Unauthorized => (401, "UNAUTHORIZED"),
        ErrorCode.Forbidden or ErrorCode.QuotaExceeded => (403, "DENIED"),
        ErrorCode.NotFound => (404, "NAME_UNKNOWN"),
        ErrorCode.ManifestUnknown or ErrorCode.ImageNotFound => (404, "MANIFEST_UNKNOWN"),
        ErrorCode.BlobUnknown => (404, "BLOB_UNKNOWN"),
        ErrorCode.BlobUploadUnknown => (404, "BLOB_UPLOAD_UNKNOWN"),
        ErrorCode.BlobUploadInvalid => (400, "BLOB_UPLOAD_INVALID"),
        ErrorCode.RequestTimeout => (408, "BLOB_UPLOAD_INVALID"),
        ErrorCode.Conflict or ErrorCode.TagImmutable => (409, "DENIED"),
        ErrorCode.BodyTooLarge => (413, "SIZE_INVALID"),
        ErrorCode.SizeInvalid => (400, "SIZE_INVALID"),
        ErrorCode.RangeNotSatisfiable => (416, "BLOB_UPLOAD_INVALID"),
        ErrorCode.UnsupportedMediaType or ErrorCode.ManifestInvalid => (400, "MANIFEST_INVALID"),
        ErrorCode.ArchiveRefused => (400, "MANIFEST_INVALID"),
        ErrorCode.QueueFull => (429, "TOOMANYREQUESTS"),
        ErrorCode.Upstream => (502, "UNKNOWN"),
        ErrorCode.StorageFull => (507, "UNKNOWN"),
        ErrorCode.StorageFault => (503, "UNKNOWN"),
        ErrorCode.ShuttingDown => (503, "UNKNOWN"),
        _ => (500, "UNKNOWN"),
    };

    public static Task WriteAsync(HttpContext context, BerthException refusal)
    {
        (int status, string code) = Find(refusal.Code);
        if (refusal.RetryAfter is { } wait)
        {
            context.Response.Headers.RetryAfter = ((int)Math.Ceiling(wait.TotalSeconds)).ToString();
        }

        return WriteAsync(context, status, code, refusal.Message);
    }

    public static Task WriteAsync(HttpContext context, int status, string code, string message)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(
            new OciErrorList([new OciError(code, message)]), RegistryAnswers.Default.OciErrorList, contentType: null,
            context.RequestAborted);
    }

    /// <summary>A manifest names content that the repository lacks; its code has no other use.</summary>
    public static Task WriteMissingAsync(HttpContext context, string message) =>
        WriteAsync(context, 404, "MANIFEST_BLOB_UNKNOWN", message);
}
