using Berth.Core.Errors;

namespace Berth.Core.Runs;

/// <summary>Who is to blame when an attempt does not come about: another one helps only against faults of the
/// platform.</summary>
public static class StartFault
{
    public static EndReason ReasonOf(ErrorCode code) => code switch
    {
        ErrorCode.ImageNotFound or ErrorCode.ManifestInvalid or ErrorCode.ManifestUnknown or ErrorCode.BlobUnknown
            or ErrorCode.DigestMismatch or ErrorCode.SizeInvalid or ErrorCode.ArchiveRefused
            or ErrorCode.UnsupportedMediaType or ErrorCode.InvalidRequest or ErrorCode.InvalidReference
            or ErrorCode.InvalidDigest or ErrorCode.NotFound => EndReason.NotRunnable,
        ErrorCode.RunFailed or ErrorCode.RunOutOfMemory => EndReason.NoAnswer,
        ErrorCode.RunEntryPointMissing => EndReason.EntryPointMissing,
        _ => EndReason.PlatformFault,
    };

    /// <summary>The same of anything thrown: what is not a refusal is a fault of the platform.</summary>
    public static EndReason ReasonOf(Exception error) =>
        error is BerthException fault ? ReasonOf(fault.Code) : EndReason.PlatformFault;
}
