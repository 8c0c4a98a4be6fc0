using System.Reflection;
using System.Security.Cryptography;

namespace Berth.Node.Init;

/// <summary>
/// The berth-init executable, carried inside this assembly and written out where sandboxes can mount it.
/// </summary>
public static class InitBinary
{
    private const string ResourceName = "berth-init";

    /// <summary>
    /// Writes it as <c>berth-init-DIGEST</c> into a folder, mode 0555, and returns its path. The name carries the
    /// content, so a running sandbox of an older version keeps its own file, and writing twice is harmless.
    /// </summary>
    public static async Task<string> WriteToAsync(string folder, CancellationToken cancellationToken)
    {
        await using Stream content = Assembly.GetExecutingAssembly().GetManifestResourceStream(ResourceName)
            ?? throw new InvalidOperationException("This build carries no berth-init.");
        byte[] bytes = new byte[content.Length];
        await content.ReadExactlyAsync(bytes, cancellationToken);
        string name = $"berth-init-{Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8))}";
        string path = Path.Combine(folder, name);
        Directory.CreateDirectory(folder);

        // A new file each time, renamed over: one that is being executed can't be written (ETXTBSY).
        string unique = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
        string temporary = Path.Combine(folder, $".{name}.{unique}");
        await File.WriteAllBytesAsync(temporary, bytes, cancellationToken);
        const UnixFileMode ReadAndExecute = UnixFileMode.UserRead | UnixFileMode.UserExecute
            | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
        File.SetUnixFileMode(temporary, ReadAndExecute);
        File.Move(temporary, path, overwrite: true);
        return path;
    }
}
