using System.Globalization;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>
/// The one file by which the init of a further runtime's sandbox tells that the program runs, or why not. It lies on
/// the sandbox's own file system in memory, within its own limit; what its programs write to it later nobody reads.
/// </summary>
internal static class StartReport
{
    /// <summary>Beside the init; see <see cref="Api.Nodes.SandboxTool"/>.</summary>
    public const string PathInside = "/dev/.berth-started";

    private const int MaxBytes = 16;
    private const UnixFileMode AllWrite = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead
        | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    /// <summary>An init answers within milliseconds.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(1);

    public static string PathIn(string folder) => folder + "/fs/started";

    public static void Make(string folder, uint owner)
    {
        string path = PathIn(folder);
        File.WriteAllBytes(path, []);
        File.SetUnixFileMode(path, AllWrite);
        FileSystems.ChangeOwner(path, owner, owner);
    }

    /// <summary>0 once the program runs, else the errno of its execve; null when the container ended before a word.
    /// Throws TimeoutException.</summary>
    public static async Task<int?> WaitAsync(string folder, Task ended, TimeProvider time)
    {
        long begun = time.GetTimestamp();
        while (true)
        {
            bool last = ended.IsCompleted;
            int? errno = Read(PathIn(folder));
            if (errno is not null || last)
            {
                return errno;
            }

            if (time.GetElapsedTime(begun) > Patience)
            {
                throw new TimeoutException();
            }

            await Task.Delay(Pause, time, CancellationToken.None);
        }
    }

    private static int? Read(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        Span<byte> text = stackalloc byte[MaxBytes];
        int length = file.ReadAtLeast(text, MaxBytes, throwOnEndOfStream: false);
        int end = text[..length].IndexOf((byte)'\n');
        return end > 0 && int.TryParse(text[..end], NumberStyles.None, CultureInfo.InvariantCulture, out int errno)
            ? errno
            : null;
    }
}
