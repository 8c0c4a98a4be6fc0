using System.Runtime.InteropServices;

namespace Berth.Commands.Terminals;

/// <summary>
/// Has the terminal pass on every key as it is pressed, for as long as this is held: it echoes nothing, and Ctrl-C is a
/// byte like any other (termios(3)).
/// </summary>
internal sealed partial class RawMode : IDisposable
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;
    private const int AfterOutput = 1;
    private const nuint GetWindowSize = 0x5413;

    /// <summary>Larger than struct termios is anywhere.</summary>
    private const int SettingsSize = 256;

    private readonly byte[] before;
    private bool restored;

    private RawMode(byte[] before) => this.before = before;

    /// <summary>Null where standard input is no terminal.</summary>
    public static RawMode? TryEnter()
    {
        byte[] before = new byte[SettingsSize];
        if (GetSettings(StandardInput, before) != 0)
        {
            return null;
        }

        byte[] raw = [.. before];
        MakeRaw(raw);
        return SetSettings(StandardInput, AfterOutput, raw) == 0 ? new RawMode(before) : null;
    }

    /// <summary>Null where standard output is no terminal.</summary>
    public static (ushort Rows, ushort Columns)? WindowSize()
    {
        ushort[] size = new ushort[4];
        return Control(StandardOutput, GetWindowSize, size) == 0 && size[0] > 0 && size[1] > 0
            ? (size[0], size[1])
            : null;
    }

    public void Dispose()
    {
        if (!restored)
        {
            restored = true;
            _ = SetSettings(StandardInput, AfterOutput, before);
        }
    }

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int GetSettings(int descriptor, [Out] byte[] settings);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int SetSettings(int descriptor, int when, byte[] settings);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void MakeRaw([In, Out] byte[] settings);

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Control(int descriptor, nuint request, [Out] ushort[] size);
}
