using Berth.Core.Runs;

namespace Berth.IntegrationTests.Containment;

/// <summary>A program that wants more than its share.</summary>
/// <param name="Outcome">For the page.</param>
/// <param name="Script">For the sandbox's shell; <c>/attacks take</c> is attacks.c.</param>
/// <param name="Ends">How the run may end; what it may be depends on what is exhausted first.</param>
/// <param name="Shows">A pattern that output and standard error together must match; null is anything.</param>
internal sealed record ResourceAttack(
    string Name, string What, string Outcome, string Script, IReadOnlyList<EndReason> Ends, string? Shows = null)
{
    private const EndReason Code = EndReason.ExitCode;
    private const EndReason Memory = EndReason.OutOfMemory;
    private const EndReason Late = EndReason.TimedOut;
    private const EndReason Fine = EndReason.Completed;

    public static IReadOnlyList<ResourceAttack> All { get; } =
    [
        new("fork-bomb", "Forks without end", "refused at the limit of processes, ended with its deadline",
            "trap '' TERM; bomb() { bomb & bomb & wait; }; bomb; sleep 600", [Late, Code]),
        new("memory-bomb", "Wants all memory", "ended at its memory limit", "tail -c 500m /dev/zero", [Memory]),
        new("shared-memory", "Fills /dev/shm", "full at the folder's size, or ended at its memory limit",
            "dd if=/dev/zero of=/dev/shm/big bs=1M", [Code, Memory]),
        new("disk", "Fills the writable layer", "full at its size", "dd if=/dev/zero of=/big bs=1M", [Code],
            "No space left"),
        new("temporary-files", "Fills /tmp", "full at the layer's size", "dd if=/dev/zero of=/tmp/big bs=1M", [Code],
            "No space left"),
        new("small-files", "Makes empty files without end", "refused at a file for each 4 KiB of the layer",
            "cd /tmp; i=0; while touch f$i; do i=$((i+1)); done; exit 9", [Code], "No space left"),
        new("device-folder", "Fills /dev", "full at 1 MiB, or can't be written", "dd if=/dev/zero of=/dev/big bs=64k",
            [Code], "No space left|Read-only file system"),
        new("sparse-file", "Makes a file of 1 PiB and writes all over it", "full at the layer's size",
            "/attacks take sparse", [Fine], "ENOSPC|EFBIG"),
        new("deep-folders", "Makes folders in folders without end",
            "refused at a file for each 4 KiB of the layer; all of it goes away with the sandbox",
            "cd /tmp; /attacks take folders", [Fine], "ENOSPC"),
        new("file-attributes", "Hides memory in extended attributes", "refused by the file system, or ended at its "
            + "memory limit", "/attacks take attributes", [Fine, Memory]),
        new("descriptors", "Opens files until it is refused", "EMFILE at the limit of open files",
            "/attacks take descriptors", [Fine], "EMFILE"),
        new("zombies", "Leaves ended children unread", "refused at the limit of processes",
            "/attacks take children", [Fine], "EAGAIN"),
        new("threads", "Starts threads without end", "refused at the limit of processes",
            "/attacks take threads", [Fine], "EAGAIN"),
        new("orphans", "Leaves children behind, one after the other", "the init takes them in: never a limit",
            "i=0; while [ $i -lt 300 ]; do (true &); i=$((i+1)); done; echo all gone", [Fine], "all gone"),
        new("pipes", "Hides memory in pipes", "charged to the sandbox: ended at its memory limit",
            "/attacks take pipes", [Memory, Fine], "^$|EMFILE|ENFILE"),
        new("socket-buffers", "Hides memory in sockets that nobody reads",
            "charged to the sandbox: ended at its memory limit, or refused at the limit of open files",
            "/attacks take sockets", [Memory, Fine], "^$|EMFILE|ENFILE|ENOBUFS|ENOMEM"),
        new("sockets-in-flight", "Sends descriptors through themselves",
            "refused at the limit of open files, or ended with its deadline or at its memory limit",
            "/attacks take rights", [Fine, Late, Memory], "^$|ETOOMANYREFS|EMFILE"),
        new("system-v-segments", "Makes segments of shared memory", "ended at its memory limit; gone with the sandbox",
            "/attacks take segments", [Memory]),
        new("message-queues", "Makes message queues without end", "refused at the limit of its user namespace",
            "/attacks take queues", [Fine], "EMFILE|ENOSPC"),
        new("queued-signals", "Queues signals to itself", "refused at the limit of its user", "/attacks take signals",
            [Fine], "EAGAIN"),
        new("timers", "Makes timers without end", "refused at the limit of queued signals", "/attacks take timers",
            [Fine], "EAGAIN"),
        new("file-watches", "Makes inotify instances without end", "refused at the limit of its user namespace",
            "/attacks take watches", [Fine], "EMFILE"),
        new("locked-memory", "Locks memory", "refused at the limit of locked memory, or ended at its memory limit",
            "/attacks take locked", [Fine, Memory]),
        new("arguments", "Starts a program with 4 GB of arguments", "E2BIG", "/attacks take arguments", [Fine],
            "E2BIG"),
        new("log-flood", "Writes to standard error without end", "ended with its deadline; the log is a ring",
            "yes >&2", [Late]),
        new("deaf", "Ignores SIGTERM", "killed after the grace time", "trap '' TERM HUP INT; while :; do sleep 1; done",
            [Late]),
        new("detached", "Starts sessions of its own and ends", "they end with it",
            "setsid sh -c 'trap \"\" TERM; sleep 600 & sleep 600' >/dev/null 2>&1 & echo gone", [Fine], "gone"),
        new("kill-everything", "Kills all it may", "the init stays, the next run is served",
            "kill -9 -1; echo here", [Fine, Code, EndReason.Signal]),
        new("remove-everything", "Removes every file it can", "its own copies; the image's layers stay",
            "rm -rf /bin /etc /dev /proc /sys /tmp 2>/dev/null; echo gone", [Fine, Code]),
    ];
}
