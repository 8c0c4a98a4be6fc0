using System.Globalization;
using Berth.Core.Errors;
using Berth.Node.Linux;
using Microsoft.Win32.SafeHandles;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// The image's /etc/passwd and /etc/group, which runc reads to its own end in every container it makes: it would wait
/// for the writer of a fifo, read a device for ever, and fail on a line longer than its buffer. What it could not read
/// is the image's fault and is said so before runc is started.
/// </summary>
internal static class AccountFiles
{
    /// <summary>As much as the sandbox's init reads of one.</summary>
    private const long MaxBytes = 1024 * 1024;

    /// <summary>bufio.MaxScanTokenSize of Go's standard library.</summary>
    private const int MaxLine = 64 * 1024;

    // What a link to one of these leads to is another thing once the sandbox's own are mounted there.
    private static readonly string[] MountedLater = ["/dev/", "/proc/", "/sys/"];

    /// <summary>Throws BerthException (ArchiveRefused) naming the file. A file that is absent is fine.</summary>
    public static void Check(string root)
    {
        using FileDescriptor inside = FileSystems.OpenFolder(root);
        foreach (string name in (string[])["etc/passwd", "etc/group"])
        {
            using FileDescriptor? file = Open(inside, name);
            if (file is not null)
            {
                CheckContent(file, name, root);
            }
            else if (IsLink($"{root}/etc") || IsLink($"{root}/{name}"))
            {
                throw Refuse(name, "is reached by a link that leads nowhere");
            }
        }
    }

    private static FileDescriptor? Open(FileDescriptor root, string name)
    {
        try
        {
            return FileSystems.TryOpenInRoot(root, name, Libc.O_RDONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC);
        }
        catch (LinuxException error) when (error.Errno == Errno.NotDirectory)
        {
            return null;
        }
        catch (LinuxException error)
        {
            throw Refuse(name, $"can't be opened ({error.Message})");
        }
    }

    private static void CheckContent(FileDescriptor file, string name, string root)
    {
        string link = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file.Number}");
        string place = File.ResolveLinkTarget(link, returnFinalTarget: false)!.FullName;
        if (MountedLater.Any(folder => place.StartsWith(root + folder, StringComparison.Ordinal)))
        {
            throw Refuse(name, "is reached by a link into a folder of the system");
        }

        using SafeFileHandle handle = new(file.Duplicate().Release(), ownsHandle: true);
        using FileStream stream = new(handle, FileAccess.Read, bufferSize: 0);
        if (!stream.CanSeek || File.GetAttributes(link).HasFlag(FileAttributes.Directory))
        {
            throw Refuse(name, "is not a regular file");
        }

        if (stream.Length > MaxBytes)
        {
            throw Refuse(name, "is larger than 1 MiB");
        }

        if (stream.Length >= MaxLine && LongestLine(stream) >= MaxLine)
        {
            throw Refuse(name, "has a line of 64 KiB or more");
        }
    }

    private static int LongestLine(FileStream stream)
    {
        byte[] content = new byte[stream.Length];
        int count = stream.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
        ReadOnlySpan<byte> rest = content.AsSpan(0, count);
        int longest = 0;
        while (!rest.IsEmpty)
        {
            int end = rest.IndexOf((byte)'\n');
            int length = end < 0 ? rest.Length : end + 1;
            longest = Math.Max(longest, length);
            rest = rest[length..];
        }

        return longest;
    }

    private static bool IsLink(string path) => new FileInfo(path).LinkTarget is not null;

    private static BerthException Refuse(string name, string why) => new(
        ErrorCode.ArchiveRefused, $"The image's /{name} {why}. It must be a regular file of accounts or absent.");
}
