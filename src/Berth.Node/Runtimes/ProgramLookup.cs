using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>A program as a runtime wants it told.</summary>
/// <param name="Path">Absolute, in the sandbox.</param>
/// <param name="Environment">Complete, as NAME=value.</param>
internal sealed record FoundProgram(
    string Path, IReadOnlyList<string> Words, IReadOnlyList<string> Environment, ProgramUser User, string Folder);

/// <summary>
/// Finds a program, its user and its folder in the file tree of a sandbox, from outside: what berth-init does inside of
/// the node's own. A path is followed as in the sandbox and never out of it, whatever runs there meanwhile.
/// </summary>
internal static class ProgramLookup
{
    private const string DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private const int Flags = Libc.O_PATH | Libc.O_CLOEXEC;

    private const UnixFileMode Executable =
        UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    /// <summary>The runtime mounts these, so that the tree seen from outside has nothing in them.</summary>
    private static readonly string[] Mounted = ["/dev/", "/proc/", "/sys/"];

    /// <summary>Throws LookupException for what the image does not have.</summary>
    /// <param name="root">Folder of this machine's that is the sandbox's root.</param>
    /// <param name="owner">This machine's id of the sandbox's user 0.</param>
    public static FoundProgram Find(ProgramStart program, string root, uint owner)
    {
        using FileDescriptor inside = FileSystems.OpenFolder(root);
        ProgramUser user = new ImageAccounts(inside).Resolve(program.User);
        Dictionary<string, string> environment = new(program.Environment, StringComparer.Ordinal);
        environment.TryAdd("PATH", DefaultPath);
        environment.TryAdd("HOME", user.Home.Length == 0 ? "/" : user.Home);
        EnsureFolder(inside, program.WorkingDirectory, owner);
        return new FoundProgram(
            PathOf(inside, program.Arguments[0], environment["PATH"], program.WorkingDirectory), program.Arguments,
            [.. environment.Select(e => $"{e.Key}={e.Value}")], user, program.WorkingDirectory);
    }

    private static string PathOf(FileDescriptor root, string command, string path, string folder)
    {
        if (command.Contains('/', StringComparison.Ordinal))
        {
            string whole = command[0] == '/' ? command : $"{folder.TrimEnd('/')}/{command}";
            return Mounted.Any(m => whole.StartsWith(m, StringComparison.Ordinal)) ? whole : Look(root, whole) switch
            {
                Seen.Program => whole,
                Seen.Nothing => throw new LookupException($"The command '{command}' does not exist in the image."),
                _ => throw NotExecutable(command),
            };
        }

        bool refused = false;
        // An empty entry is the working directory (environ(7)).
        foreach (string entry in path.Split(':').Select(f => f.Length == 0 ? folder : f))
        {
            string candidate = $"{entry.TrimEnd('/')}/{command}";
            Seen seen = Look(root, candidate);
            if (seen == Seen.Program)
            {
                return candidate;
            }

            refused |= seen == Seen.Other;
        }

        throw refused
            ? NotExecutable(command)
            : new LookupException($"The command '{command}' is in no folder of PATH ({path}) of the image.");
    }

    private static Seen Look(FileDescriptor root, string path)
    {
        try
        {
            using FileDescriptor? file = FileSystems.TryOpenInRoot(root, path, Flags);
            if (file is null)
            {
                return Seen.Nothing;
            }

            string link = $"/proc/self/fd/{file.Number}";
            return File.GetAttributes(link).HasFlag(FileAttributes.Directory)
                || (File.GetUnixFileMode(link) & Executable) == 0 ? Seen.Other : Seen.Program;
        }
        catch (LinuxException error) when (error.Errno == Errno.NotDirectory)
        {
            return Seen.Nothing;
        }
        catch (LinuxException)
        {
            return Seen.Other;
        }
    }

    /// <summary>Made when missing, owned by root, as docker does.</summary>
    private static void EnsureFolder(FileDescriptor root, string path, uint owner)
    {
        string[] names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (names is ["proc", ..] || names.Contains(".."))
        {
            throw new LookupException($"The working directory {path} lies in /proc or has '..' in it.");
        }

        try
        {
            for (int i = 1; i <= names.Length && names[0] is not ("dev" or "sys"); i++)
            {
                string parent = i == 1 ? "." : string.Join('/', names.Take(i - 1));
                using FileDescriptor? there =
                    FileSystems.TryOpenInRoot(root, string.Join('/', names.Take(i)), Flags | Libc.O_DIRECTORY);
                if (there is null)
                {
                    using FileDescriptor? folder = FileSystems.TryOpenInRoot(root, parent, Flags);
                    FileSystems.MakeFolder(folder!, names[i - 1], owner);
                }
            }
        }
        catch (LinuxException error)
        {
            throw new LookupException(
                error.Errno == Errno.NotDirectory
                    ? $"The working directory {path} is not a folder."
                    : $"The working directory {path} can't be made: {error.Message}");
        }
    }

    /// <summary>What was found could not be executed after all.</summary>
    /// <param name="errno">Of the execve.</param>
    public static LookupException Refused(FoundProgram program, int errno)
    {
        const int NoFormat = 8;
        string command = program.Words[0];
        return errno switch
        {
            Errno.NoEntry => new($"The interpreter or loader of the command '{command}' does not exist in the image."),
            Errno.AccessDenied => new(
                $"The command '{command}' exists in the image but is not executable for the user."),
            NoFormat => new(
                $"The command '{command}' is no executable of this machine's architecture, "
                + "nor a script that begins with #!."),
            _ => new($"The command '{command}' can't be executed (errno {errno})."),
        };
    }

    private static LookupException NotExecutable(string command) =>
        new($"The command '{command}' exists in the image but is not executable.");

    private enum Seen
    {
        Nothing,
        Program,
        Other,
    }
}
