using System.Formats.Tar;
using Berth.Init.Linux;

namespace Berth.Init.Files;

/// <summary>Unpacks a tar archive into a folder: files, folders and links, as the sandbox's root.</summary>
internal static class TreeWriter
{
    private const UnixFileMode Permissions = (UnixFileMode)0xFFF;

    public static void Write(Stream input, string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new FileToolException($"There is no such folder: {folder}");
        }

        using TarReader reader = new(input, leaveOpen: true);
        while (reader.GetNextEntry() is { } entry)
        {
            string path = PathOf(folder, entry.Name);
            Write(entry, path, folder);
        }
    }

    private static void Write(TarEntry entry, string path, string folder)
    {
        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                Directory.CreateDirectory(path);
                File.SetUnixFileMode(path, entry.Mode & Permissions);
                break;
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile:
                Replace(path);
                using (FileStream file = new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0))
                {
                    entry.DataStream?.CopyTo(file);
                }

                File.SetUnixFileMode(path, entry.Mode & Permissions);
                File.SetLastWriteTimeUtc(path, entry.ModificationTime.UtcDateTime);
                break;
            case TarEntryType.SymbolicLink:
                Replace(path);
                File.CreateSymbolicLink(path, entry.LinkName);
                break;
            case TarEntryType.HardLink:
                Replace(path);
                Link(PathOf(folder, entry.LinkName), path);
                break;
            case TarEntryType.GlobalExtendedAttributes or TarEntryType.ExtendedAttributes:
                break;
            default:
                throw new FileToolException(
                    $"The archive holds a device, a pipe or something else that is no file: {entry.Name}");
        }
    }

    private static void Replace(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        if (new FileInfo(path).LinkTarget is null && Directory.Exists(path))
        {
            throw new FileToolException($"A folder stands where the archive has a file: {path}");
        }

        File.Delete(path);
    }

    private static void Link(string existing, string path)
    {
        if (Kernel.Link(existing, path) < 0)
        {
            throw new FileToolException($"The link {path} can't be made to {existing}");
        }
    }

    private static string PathOf(string folder, string name)
    {
        string clean = name.TrimStart('/');
        return clean.Split('/').Contains("..")
            ? throw new FileToolException($"The archive has a name with '..': {name}")
            : folder.TrimEnd('/') + "/" + clean.TrimEnd('/');
    }
}
