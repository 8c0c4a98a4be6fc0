using System.Globalization;
using System.Text;
using Berth.Node.Linux;
using Microsoft.Win32.SafeHandles;

namespace Berth.Node.Runtimes;

/// <summary>The ids a program runs under.</summary>
internal sealed record ProgramUser(int User, int Group, IReadOnlyList<int> Groups, string Home);

/// <summary>
/// Turns an image's USER into ids by the image's own /etc/passwd and /etc/group, by the rules that berth-init has
/// inside. The files are the image's, or a running program's, thus hostile: regular ones only, of at most 1 MiB, and no
/// link in them leads out of the root.
/// </summary>
/// <param name="root">Root of the sandbox, opened as a folder.</param>
internal sealed class ImageAccounts(FileDescriptor root)
{
    private const long MaxBytes = 1024 * 1024;
    private const int MaxGroups = 1024;

    /// <summary>Throws LookupException for a name that is not there.</summary>
    public ProgramUser Resolve(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string user = colon < 0 ? text : text[..colon];
        string? group = colon < 0 ? null : text[(colon + 1)..];
        if (colon >= 0 && (user.Length == 0 || group!.Length == 0))
        {
            throw Refuse(text, "has an empty user or group beside the colon");
        }

        int? number = user.Length == 0 ? 0 : IdOf(user, text);
        string[]? account = Lines("etc/passwd", out string? problem).FirstOrDefault(f =>
            IsId(Field(f, 2), out int id) && IsId(Field(f, 3), out _) && (number is { } n ? id == n : f[0] == user));
        if (account is null && number is null)
        {
            throw Refuse(
                text,
                problem is null
                    ? "is not in the image's /etc/passwd; use a name from there or a number"
                    : $"can't be looked up: the image's /etc/passwd {problem}; use a number");
        }

        int own = account is null ? number!.Value : Id(account, 2);
        int primary = account is null ? 0 : Id(account, 3);
        string home = account is null ? (own == 0 ? "/root" : "/") : Field(account, 5);
        if (group is not null)
        {
            int chosen = IdOf(group, text) ?? GroupOf(group, text);
            return new ProgramUser(own, chosen, [chosen], home);
        }

        return new ProgramUser(own, primary, account is null ? [primary] : GroupsOf(account[0], primary), home);
    }

    private static int Id(string[] fields, int index) =>
        IsId(Field(fields, index), out int id) ? id : throw new InvalidOperationException("The id was checked.");

    private static string Field(string[] fields, int index) => index < fields.Length ? fields[index] : "";

    private static bool IsId(string text, out int id) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out id);

    /// <summary>Null when it isn't all digits, thus a name.</summary>
    private static int? IdOf(string text, string whole) =>
        text.All(char.IsAsciiDigit)
            ? IsId(text, out int id) ? id : throw Refuse(whole, "has an id above 2147483647")
            : null;

    private int GroupOf(string name, string whole)
    {
        string[]? line = Lines("etc/group", out string? problem)
            .FirstOrDefault(f => f[0] == name && IsId(Field(f, 2), out _));
        return line is null
            ? throw Refuse(
                whole,
                problem is null
                    ? "names a group that is not in the image's /etc/group; use a name from there or a number"
                    : $"can't be looked up: the image's /etc/group {problem}; use a number")
            : Id(line, 2);
    }

    private int[] GroupsOf(string name, int primary) =>
    [
        .. Lines("etc/group", out _)
            .Where(f => IsId(Field(f, 2), out _) && Field(f, 3).Split(',').Contains(name))
            .Select(f => Id(f, 2)).Prepend(primary).Distinct().Take(MaxGroups),
    ];

    /// <param name="problem">Why there are no lines, where the file isn't merely absent.</param>
    private IEnumerable<string[]> Lines(string path, out string? problem)
    {
        try
        {
            using FileDescriptor? file =
                FileSystems.TryOpenInRoot(root, path, Libc.O_RDONLY | Libc.O_NONBLOCK | Libc.O_CLOEXEC);
            problem = null;
            return file is null ? [] : Lines(file, out problem);
        }
        catch (LinuxException)
        {
            problem = "can't be opened";
            return [];
        }
    }

    private static IEnumerable<string[]> Lines(FileDescriptor file, out string? problem)
    {
        using SafeFileHandle handle = new(file.Duplicate().Release(), ownsHandle: true);
        using FileStream stream = new(handle, FileAccess.Read, bufferSize: 0);
        bool isFolder = File.GetAttributes($"/proc/self/fd/{file.Number}").HasFlag(FileAttributes.Directory);
        problem = isFolder || !stream.CanSeek ? "is not a regular file"
            : stream.Length > MaxBytes ? "is larger than 1 MiB"
            : null;
        if (problem is not null)
        {
            return [];
        }

        byte[] content = new byte[stream.Length];
        int count = stream.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
        return Encoding.UTF8.GetString(content, 0, count).Split('\n').Select(line => line.Split(':'));
    }

    private static LookupException Refuse(string user, string why) => new($"The user '{user}' {why}.");
}

/// <summary>The image or the order is to blame; the message is a sentence for people.</summary>
internal sealed class LookupException(string message) : Exception(message);
