namespace Berth.Oci.Tar;

/// <summary>Kinds of entries, by their type flag (POSIX pax, "ustar Interchange Format").</summary>
internal enum TarEntryKind
{
    File,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Folder,
    Fifo,
}

/// <summary>
/// One entry's header with its pax and GNU extensions applied. Names are bytes as they stand in the archive.
/// </summary>
internal sealed record TarEntry(
    TarEntryKind Kind, byte[] Name, byte[] LinkTarget, uint Mode, long User, long Group, long Size, long Seconds,
    int Nanoseconds,
    uint DeviceMajor, uint DeviceMinor, IReadOnlyList<KeyValuePair<string, byte[]>> Xattrs)
{
    /// <summary>The name for messages: printable, quoted and not too long.</summary>
    internal string Display => EntryPath.Quote(Name);
}
