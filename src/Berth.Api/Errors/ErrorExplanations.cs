using System.Collections.Frozen;
using Berth.Core.Errors;

namespace Berth.Api.Errors;

/// <summary>An error code in words, for the reference page and the OpenAPI document.</summary>
/// <param name="Meaning">When it is told.</param>
/// <param name="Remedy">What whoever gets it can do.</param>
/// <param name="Example">A <c>detail</c> as it comes.</param>
public sealed record ErrorExplanation(ErrorCode Error, string Meaning, string Remedy, string Example);

/// <summary>What each code of <see cref="ErrorCatalog"/> means to people. A test holds that none is left out.</summary>
public static class ErrorExplanations
{
    private static readonly FrozenDictionary<ErrorCode, ErrorExplanation> ByCode =
        Requests().Concat(Access()).Concat(State()).Concat(Content()).Concat(Runs()).ToFrozenDictionary(e => e.Error);

    public static ErrorExplanation Find(ErrorCode code) => ByCode[code];

    private static IEnumerable<ErrorExplanation> Requests() =>
    [
        new(ErrorCode.InvalidRequest,
            "A header, query parameter or body can't be used. Nothing was begun.",
            "The text names the place, the value and what is expected.",
            "The header Berth-Memory = 'lots' can't be used: expected 4 MiB to 64 GiB (the operator's max-memory), "
            + "written such as 256Mi or 1.5Gi."),
        new(ErrorCode.InvalidReference,
            "The name of an image breaks the rules for references.",
            "Write `NAME`, `NAME:TAG` or `NAME@DIGEST` in lower case.",
            "'Not/An/Image' is not an image reference: expected [host/]name[:tag][@digest], the name in lower-case "
            + "letters, digits and . _ - / between them."),
        new(ErrorCode.InvalidDigest,
            "A digest is not `sha256:` and 64, or `sha512:` and 128, hexadecimal digits in lower case.",
            "Copy it whole from `berth image ls -o json`.",
            "'sha256:12' is not a digest: expected sha256: and 64, or sha512: and 128, lower-case hexadecimal digits."),
        new(ErrorCode.InvalidConfiguration,
            "The server or the command line found a setting it can't use. A server does not start with it.",
            "The text names the setting, its value and where it came from.",
            "max-running = 'many' (from the flag --max-running) can't be used: expected a whole number from "
            + "1 to 100000, or auto."),
        new(ErrorCode.MethodNotAllowed,
            "The address exists, but not for this method.",
            "Use one of the methods in the header `Allow`.",
            "This address does not take DELETE; it takes GET."),
        new(ErrorCode.RequestTimeout,
            "A task's input or an upload brought nothing for too long, or a small document came too slowly.",
            "Send it without such a pause, or have the operator raise `body-idle-timeout`.",
            "Nothing of the body came for 600 s: send it without such a pause, or raise body-idle-timeout."),
        new(ErrorCode.BodyTooLarge,
            "The body is larger than this route takes.",
            "Send less, or have the operator raise `body-limit`, `input-limit` or `upload-limit`.",
            "The body has 5368709120 bytes and may have 4294967296 (the operator's input-limit)."),
        new(ErrorCode.UnsupportedMediaType,
            "The body's media type is not one that this route reads.",
            "Send the `Content-Type` that the text names.",
            "The body's media type is 'text/plain': send JSON with 'Content-Type: application/json'."),
        new(ErrorCode.RangeNotSatisfiable,
            "The range that was asked for lies outside what there is.",
            "Ask within the size that `Content-Range` tells.",
            "The range 'bytes=100-' lies outside the 12 bytes there are."),
        new(ErrorCode.CallbackForbidden,
            "The callback's address is internal or of a kind that is not called.",
            "Use a public http or https address, or have the operator add it to `callback-allow`.",
            "The callback 'http://127.0.0.1:1/' is not allowed: 127.0.0.1 is not a public address. The operator may "
            + "allow it in the setting callback-allow."),
    ];

    private static IEnumerable<ErrorExplanation> Access() =>
    [
        new(ErrorCode.Unauthorized,
            "There is no token, or it is unknown, revoked or expired.",
            "Send `Authorization: Bearer TOKEN`; `berth login` remembers one for the command line.",
            "Send a valid token: 'Authorization: Bearer TOKEN', or with the command line BERTH_TOKEN or 'berth login'. "
            + "The first administrator's is in the file admin.token of the data folder."),
        new(ErrorCode.Forbidden,
            "The token is valid, but its role may not do this; or the operator's settings do not allow it.",
            "Use a token with another role, or ask the operator.",
            "Token 'edge' has the role pull, which may not POST here: ask an administrator for a token "
            + "with another role."),
    ];

    private static IEnumerable<ErrorExplanation> State() =>
    [
        new(ErrorCode.NotFound,
            "There is nothing at this address, or nothing of this name.",
            "Look the address up in `/openapi/v1.json`.",
            "There is nothing at this address; /openapi/v1.json lists all there is."),
        new(ErrorCode.RunNotFound,
            "There is no run of this id; perhaps its record is older than `run-retention`.",
            "List runs with `berth task ls -a`.",
            "There is no run 'xx': an id has 26 characters such as 01jd3v8k…."),
        new(ErrorCode.Conflict,
            "The thing is in a state that does not allow this, such as the result of a task that has not ended.",
            "Wait until the state has changed; the text says which.",
            "Run 01m7yh1w890pwaw6vp0pc2b34p is running: wait until it has ended."),
        new(ErrorCode.IdempotencyConflict,
            "The idempotency key came with another request before.",
            "Use a new key for a new request.",
            "The idempotency key 'order-1042' belongs to run 01m7yh1w890pwaw6vp0pc2b34p, which was another request: "
            + "use a new key for a new request."),
        new(ErrorCode.QueueFull,
            "As much work waits as the operator allows.",
            "Try again after `Retry-After`; the operator can raise `queue-limit`, `waiting-calls-limit` or "
            + "`max-running`.",
            "100,000 tasks wait already: send it again later, or raise queue-limit."),
        new(ErrorCode.ShuttingDown,
            "The server is stopping and takes no new work.",
            "Try again when it is back.",
            "The server is stopping and takes nothing new: send it again in a moment."),
        new(ErrorCode.StorageFull,
            "The disk of the data folder is full. Nothing was changed.",
            "Free some space: remove images with `berth image rm`, shorten `result-retention`.",
            "The disk that holds /var/lib/berth is full: free some space or remove images, then try again."),
        new(ErrorCode.StorageFault,
            "Writing to the data folder failed for another reason than a full disk.",
            "The server tries again by itself; its log has the cause.",
            "The store /var/lib/berth/berth.db can't be written: look at the server's log and the disk, "
            + "then send it again."),
        new(ErrorCode.StorageDamaged,
            "What the disk gave back of the store is not what was written there. Nothing of it is taken for true.",
            "Look at the disk, stop the server and restore a backup; [troubleshooting](../guide/troubleshooting.md) "
            + "says what else can be done.",
            "/var/lib/berth/berth.db: page 17 of 4211 is not as it was written: restore a backup ('berth restore')."),
        new(ErrorCode.ResultExpired,
            "Input and result of the run were deleted, `result-retention` after its end.",
            "Submit it again, or have the operator keep results longer.",
            "The result of run 01m7yh1w890pwaw6vp0pc2b34p is no longer kept since 2026-11-22 07:45:08Z."),
        new(ErrorCode.Internal,
            "A defect of Berth.",
            "The server's log has the cause under the trace that the text names; please report it.",
            "Berth failed; the server's log has the cause under trace 4bf92f3577b34da6a3ce929d0e0e4736."),
    ];

    private static IEnumerable<ErrorExplanation> Content() =>
    [
        new(ErrorCode.ImageNotFound,
            "There is no such image in this server's registry.",
            "Push it, or copy it here with `berth image pull`.",
            "There is no image demo/nothing:latest: push it first, or list what there is with 'berth image ls'."),
        new(ErrorCode.TagImmutable,
            "A policy of the repository makes the tag immutable: it is neither moved nor removed.",
            "Push under another tag, or have an administrator change the policy with `berth repository set`.",
            "The tag team/app:v1.2 is immutable: push under another tag. The policy of 'team' says so; "
            + "'berth repository set' changes it."),
        new(ErrorCode.QuotaExceeded,
            "The repositories that share a quota would hold more bytes than it allows.",
            "Remove images and collect garbage, or have an administrator raise it with `berth repository set --quota`.",
            "The repositories of 'team' hold 1073700000 of 1073741824 bytes, and this would add 1048576: remove "
            + "images, or have the quota raised."),
        new(ErrorCode.ManifestInvalid,
            "A manifest or index is malformed, or of a kind that can't be run.",
            "Build and push the image again.",
            "The image's index names indexes in indexes."),
        new(ErrorCode.ManifestUnknown,
            "A registry has no manifest of this tag or digest.",
            "Check the name and tag at the registry it comes from.",
            "There is no manifest 1.99 in demo/busybox."),
        new(ErrorCode.BlobUnknown,
            "A manifest names content that is not there.",
            "Push the image again.",
            "There is no blob sha256:7849d123763ae993f5034c7f30d126b76a7c5b08f0a16b5cf39553116c2816ee."),
        new(ErrorCode.BlobUploadUnknown,
            "An upload is continued that does not exist, or not any more.",
            "Begin it again.",
            "There is no upload 5f0c in this repository; it may have expired. Start again."),
        new(ErrorCode.BlobUploadInvalid,
            "A part of an upload is malformed.",
            "Begin it again.",
            "Content-Range '1023-' is not a range such as 0-1023."),
        new(ErrorCode.DigestMismatch,
            "Content does not have the digest it was announced with.",
            "Send it again; if it happens again, something on the way changes it.",
            "The content received (1058443 bytes) has the digest "
            + "sha256:2feb06cc12e9614cb61a5a9d036b88d3da323c004604792dff5eb45412126a12, "
            + "not sha256:7849d123763ae993f5034c7f30d126b76a7c5b08f0a16b5cf39553116c2816ee."),
        new(ErrorCode.SizeInvalid,
            "Content does not have the size it was announced with, or more than is accepted.",
            "Send it again.",
            "The manifest has 5242880 bytes; at most 4194304 are accepted."),
        new(ErrorCode.ArchiveRefused,
            "A layer or archive is damaged, or holds what no image may: paths that lead out, device nodes, a bomb.",
            "Build it again without that.",
            "The archive was refused: its compressed data is damaged or cut off."),
        new(ErrorCode.Upstream,
            "Another server (a registry, a callback's target) failed or can't be reached.",
            "Try again; check its name, and `registry-allow` for an internal one.",
            "registry-1.docker.io can't be reached: Name or service not known (registry-1.docker.io:443)"),
    ];

    private static IEnumerable<ErrorExplanation> Runs() =>
    [
        new(ErrorCode.RunFailed,
            "The program ended with an exit code other than 0, or by a signal.",
            "The end of its standard error is in `stderr`.",
            "demo/hello:latest exited with code 3."),
        new(ErrorCode.RunTimedOut,
            "The program did not end before its deadline and was ended; or no place became free in time.",
            "Ask for more with `Berth-Timeout`, or make it a task.",
            "demo/hello:latest did not end within its time; Berth-Timeout asks for more."),
        new(ErrorCode.RunOutOfMemory,
            "The kernel ended the program at its memory limit.",
            "Ask for more with `Berth-Memory`.",
            "demo/hello:latest needed more memory than 256 MiB; Berth-Memory asks for more."),
        new(ErrorCode.RunEntryPointMissing,
            "The command is not in the image or can't be executed.",
            "Check it with `berth image inspect`; a script needs its interpreter, a program its loader and libraries.",
            "The command '/bin/no' does not exist in the image, or its interpreter or loader doesn't."),
        new(ErrorCode.RunNotRunnable,
            "A task's image is gone, damaged or refused, or can't be run as asked. It is not tried again.",
            "The text says what is wrong with it; build and push the image again.",
            "The image's /proc is not a folder. It must be a real folder or absent."),
        new(ErrorCode.RunOutputLimit,
            "The program wrote more to standard output than it may, and was ended.",
            "Ask for more with `Berth-Output-Limit`, within the operator's `output-limit` or `result-limit`.",
            "It wrote more than 10 MiB to standard output and was ended: raise --output-limit."),
        new(ErrorCode.RunCanceled,
            "Somebody cancelled the run.",
            "`berth why` tells when.",
            "Run 01m7yh1w890pwaw6vp0pc2b34p was cancelled."),
        new(ErrorCode.NodeFault,
            "The machine could not run it. This says nothing about the program.",
            "Try again; tasks are tried again by themselves. `berth doctor` and the server's log have the cause.",
            "The sandbox's init ended before it answered. The sandbox was killed or ran out of memory."),
        new(ErrorCode.NoNode,
            "No node is as the constraints ask, has the memory and CPUs, and takes new work. Calls are told so at "
            + "once; tasks wait.",
            "`berth node ls` shows the nodes; change the constraints, the nodes' labels and taints, or the limits.",
            "No node takes it: 0 of 3 nodes could; refused by node cordoned 1, constraint zone=attic 2."),
        new(ErrorCode.MissingTool,
            "A program or library that Berth needs is not on the machine.",
            "`berth doctor` says what is missing and how to get it.",
            "A layer is compressed with zstd, but libzstd.so.1 is missing: apt-get install libzstd1."),
        new(ErrorCode.ServerUnreachable,
            "What was asked for is on the disk of another of the servers that share a store, and that one is away.",
            "Try again when it is back; `docs/cluster.md` says what each server has alone.",
            "It is at the server 'one', which can't be reached at https://10.0.0.1:7071 (Connection refused): try "
            + "again when that one is back."),
    ];
}
