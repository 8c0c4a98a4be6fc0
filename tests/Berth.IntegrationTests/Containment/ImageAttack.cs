using System.Diagnostics;
using Berth.Oci.Images;

namespace Berth.IntegrationTests.Containment;

/// <summary>An image that is made to trick whoever prepares and starts it.</summary>
/// <param name="Outcome">For the page.</param>
/// <param name="Comes">A pattern: the output of a run that ended well, or its end or refusal in words.</param>
internal sealed record ImageAttack(string Name, string What, string Outcome, string Comes, params string[] Command)
{
    private const string Shows = "cat";

    /// <summary>Fills the layer, with the path of a file on the machine that it would like to have.</summary>
    public Action<string, string> Fill { get; init; } = (_, _) => { };

    public Func<ContainerDefaults, ContainerDefaults> Change { get; init; } = defaults => defaults;

    public string? User { get; init; }

    public string? WorkingDirectory { get; init; }

    public static IReadOnlyList<ImageAttack> All { get; } =
    [
        Link("dev", "/etc") with { Outcome = "refused: archive_refused" },
        Link("proc", "/") with { Outcome = "refused: archive_refused" },
        Link("sys", "/tmp") with { Outcome = "refused: archive_refused" },
        new("proc-file", "/proc is a file", "refused: archive_refused", "^ArchiveRefused", "true")
        {
            Fill = (layer, _) => File.WriteAllText(layer + "/proc", ""),
        },
        new("etc-link", "/etc is a link to a folder of the machine", "refused: archive_refused", "^ArchiveRefused",
            Shows, "/etc/secret")
        {
            Fill = (layer, secret) => File.CreateSymbolicLink(layer + "/etc", Path.GetDirectoryName(secret)!),
        },
        new("hosts-link", "/etc/hosts is a link to the machine's", "replaced by a file of its own", "localhost",
            Shows, "/etc/hosts")
        {
            Fill = (layer, secret) => InEtc(layer, etc => File.CreateSymbolicLink(etc + "/hosts", secret)),
        },
        new("tmp-link", "/tmp is a link out of the root", "it leads into its own root", "^$|No such|can't|nonexist",
            "sh", "-c", "cat /tmp/secret; touch /tmp/x")
        {
            Fill = (layer, secret) => File.CreateSymbolicLink(
                layer + "/tmp", "../../../../../.." + Path.GetDirectoryName(secret)),
        },
        new("passwd-link", "/etc/passwd is a link to the machine's file", "refused: archive_refused",
            "^ArchiveRefused.*passwd.*nowhere", "id")
        {
            Fill = (layer, secret) => InEtc(layer, etc => File.CreateSymbolicLink(etc + "/passwd", secret)),
            User = "mallory",
        },
        new("passwd-device", "/etc/passwd is a link to /dev/zero", "refused: archive_refused",
            "^ArchiveRefused.*passwd", "id")
        {
            Fill = (layer, _) => InEtc(layer, etc => File.CreateSymbolicLink(etc + "/passwd", "/dev/zero")),
            User = "alice",
        },
        new("passwd-endless", "/etc/passwd has 8 MiB", "refused: archive_refused", "^ArchiveRefused.*1 MiB", "id")
        {
            Fill = (layer, _) => InEtc(layer, etc => File.WriteAllText(etc + "/passwd", new string('x', 8 << 20))),
            User = "alice",
        },
        new("passwd-fake-device", "/etc/passwd is a link to /dev/zero, which the image has as a file",
            "refused: archive_refused", "^ArchiveRefused.*passwd", "id")
        {
            Fill = (layer, _) => InEtc(layer, etc =>
            {
                Directory.CreateDirectory(layer + "/dev");
                File.WriteAllText(layer + "/dev/zero", "root:x:0:0:::\n");
                File.CreateSymbolicLink(etc + "/passwd", "/dev/zero");
            }),
        },
        new("passwd-fifo", "/etc/passwd is a fifo that nobody writes to", "refused: archive_refused",
            "^ArchiveRefused.*regular", "id")
        {
            Fill = (layer, _) => InEtc(layer, etc => Fifo(etc + "/passwd")),
        },
        new("group-folder", "/etc/group is a folder", "refused: archive_refused", "^ArchiveRefused.*regular", "id")
        {
            Fill = (layer, _) => InEtc(layer, etc => Directory.CreateDirectory(etc + "/group")),
        },
        new("group-line", "/etc/group has a line of 100,000 members", "refused: archive_refused",
            "^ArchiveRefused.*64 KiB", "id")
        {
            Fill = (layer, _) => InEtc(layer, etc => File.WriteAllText(
                etc + "/group", "wheel:x:1:" + string.Join(',', Enumerable.Range(0, 100_000)) + "\n")),
        },
        new("etc-into-proc", "/etc is a link into /proc", "refused: archive_refused", "^ArchiveRefused", "id")
        {
            Fill = (layer, _) => File.CreateSymbolicLink(layer + "/etc", "/proc/self/cwd"),
        },
        OfUser("user-huge", "4294967295"), OfUser("user-past-int", "2147483648"), OfUser("user-negative", "-1"),
        OfUser("user-unknown", "nobody-knows"), OfUser("user-blank", "  "), OfUser("group-unknown", "0:nobody-knows"),
        OfUser("user-zero-x", "0x0"),
        Folder("cwd-proc", "/proc/self/cwd"), Folder("cwd-descriptor", "/proc/self/fd/3"),
        Folder("cwd-relative", "etc") with { Outcome = "it begins at the root", Comes = "^/etc\n" },
        Folder("cwd-dots-proc", "/etc/../proc/1/root"),
        new("cwd-link", "The working directory is a link into /proc", "refused, or the sandbox's own folder",
            "proc|folder|^/", "pwd")
        {
            Fill = (layer, _) => File.CreateSymbolicLink(layer + "/work", "/proc/self/fd"),
            WorkingDirectory = "/work",
        },
        new("program-is-its-starter", "The program is /proc/self/exe", "no program, or the init, which ends at once; "
            + "the machine's file is as it was", ".*", "/proc/self/exe"),
        new("script-of-its-starter", "A script whose interpreter is /proc/self/exe (CVE-2019-5736)",
            "as above: the machine's file is as it was", ".*", "/evil")
        {
            Fill = (layer, _) => Script(layer + "/evil", "#!/proc/self/exe\n"),
        },
        new("overwrite-its-starter", "Writes to whatever started it, through /proc", "refused",
            "^end", "sh", "-c",
            "for p in /proc/[0-9]*; do for f in $p/exe $p/fd/*; do case $(readlink $f) in *berth-init*|*runc*) "
            + "echo x >$f && echo written;; esac; done; done 2>/dev/null; echo end"),
        new("setuid-program", "A setuid program of root, started by a plain user", "no new privileges: it stays that "
            + "user", "uid=1234", "/su/busybox", "id")
        {
            Fill = (layer, _) => Setuid(layer + "/su/busybox"),
            User = "alice",
        },
        new("preload", "LD_PRELOAD and the like in the image's environment", "the init is static and gets none of it",
            "^here", "echo", "here")
        {
            Change = defaults => defaults with
            {
                Env = ["PATH=/bin", "LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/", "DOTNET_STARTUP_HOOKS=/evil.dll"],
            },
        },
        new("path-of-folders", "PATH leads to /proc and folders that are none", "no program, or the init, "
            + "which ends at once", "^EntryPointMissing|berth-init", "exe")
        {
            Change = defaults => defaults with { Env = ["PATH=/proc/self:/etc/passwd:/nowhere"] },
        },
        new("many-variables", "100,000 variables in the image", "refused, or the kernel's limit is named",
            "Invalid|EntryPoint|too|limit|large|argument", "true")
        {
            Change = defaults => defaults with
            {
                Env = [.. Enumerable.Range(0, 100_000).Select(n => $"V{n}={new string('x', 100)}")],
            },
        },
    ];

    private static ImageAttack Link(string name, string target) => new(
        name + "-link", $"/{name} is a link to {target}", "", "^ArchiveRefused", "true")
    {
        Fill = (layer, _) => File.CreateSymbolicLink($"{layer}/{name}", target),
    };

    private static ImageAttack OfUser(string name, string user) => new(
        name, $"The user is `{user}`", "refused: never root instead", "(?i)user|group", "id")
    {
        Change = defaults => defaults with { User = user },
    };

    private static ImageAttack Folder(string name, string folder) => new(
        name, $"The working directory is `{folder}`", "refused", "(?i)working|directory|folder", "pwd")
    {
        Change = defaults => defaults with { WorkingDir = folder },
    };

    private static void InEtc(string layer, Action<string> fill)
    {
        Directory.CreateDirectory(layer + "/etc");
        fill(layer + "/etc");
    }

    private static void Fifo(string path)
    {
        using Process made = Process.Start("mkfifo", [path]);
        made.WaitForExit();
    }

    private static void Script(string path, string text)
    {
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }

    private static void Setuid(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.Copy("/bin/busybox", path);
        File.SetUnixFileMode(path, (UnixFileMode)0b100_111_101_101);
    }
}
