using System.Security.Cryptography;

namespace Berth.Core.Runs;

/// <summary>
/// Random bytes of the system, a thread's own store of them: they cost some ten microseconds, however few are asked
/// for. Each is given out once.
/// </summary>
public static class RandomStore
{
    private const int Size = 1024;

    [ThreadStatic]
    private static byte[]? store;

    [ThreadStatic]
    private static int left;

    /// <param name="wanted">At most 1,024 bytes, filled.</param>
    public static void Take(Span<byte> wanted)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(wanted.Length, Size);
        byte[] own = store ??= new byte[Size];
        if (left < wanted.Length)
        {
            RandomNumberGenerator.Fill(own);
            left = Size;
        }

        left -= wanted.Length;
        Span<byte> taken = own.AsSpan(left, wanted.Length);
        taken.CopyTo(wanted);
        taken.Clear();
    }
}
