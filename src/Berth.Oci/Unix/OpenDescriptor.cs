namespace Berth.Oci.Unix;

/// <summary>Writes to a file that somebody else opened and goes on writing to.</summary>
public static class OpenDescriptor
{
    /// <summary>
    /// Writes all bytes where the descriptor stands and moves it on, as write(2) does: a FileStream keeps an offset of
    /// its own for regular files. Throws IOException, and BerthException(StorageFull).
    /// </summary>
    /// <param name="name">What it is, for messages.</param>
    public static void Write(int descriptor, ReadOnlySpan<byte> bytes, string name) =>
        UnixFile.Write(descriptor, bytes, name);
}
