using System.Text;
using Berth.Core.Errors;
using Berth.Oci.Tar;
using Microsoft.Win32.SafeHandles;

namespace Berth.Oci.Archives;

/// <summary>
/// A tar file whose entries were looked through once, so that any of them can be read in any order. Links within the
/// archive, which docker save uses for shared layers, are followed; nothing outside is ever opened.
/// </summary>
internal sealed class TarArchiveFiles : IArchiveFiles
{
    // docker save and OCI layouts hold a few files for each layer; names are kept in memory.
    private static readonly TarLimits Limits =
        TarLimits.Default with { Entries = 100_000, PathLength = 1024, Depth = 32 };

    private const int MaxLinks = 8;

    private readonly SafeFileHandle file;
    private readonly Dictionary<string, (long Offset, long Size)> files = [];
    private readonly Dictionary<string, string> links = [];

    /// <summary>Reads the table of a plain tar file and takes the handle over.</summary>
    internal TarArchiveFiles(SafeFileHandle file)
    {
        this.file = file;
        using var stream = new FileSlice(file, 0, RandomAccess.GetLength(file));
        var reader = new TarReader(new StreamTarInput(stream), Limits);
        while (reader.Read() is { } entry)
        {
            EntryPath path = EntryPath.Parse(entry.Name, Limits);
            string name = Encoding.UTF8.GetString(path.Bytes);
            files.Remove(name);
            links.Remove(name);
            switch (entry.Kind)
            {
                case TarEntryKind.File:
                    files[name] = (reader.Position, entry.Size);
                    break;
                case TarEntryKind.HardLink:
                    links[name] = Encoding.UTF8.GetString(EntryPath.Parse(entry.LinkTarget, Limits).Bytes);
                    break;
                case TarEntryKind.SymbolicLink:
                    links[name] = Resolve(name, Encoding.UTF8.GetString(entry.LinkTarget));
                    break;
                case TarEntryKind.Folder:
                    break;
                default:
                    throw EntryPath.Refuse(entry.Name, "is a device or fifo, which no image archive holds");
            }
        }
    }

    public Stream? Open(string name)
    {
        for (int hops = 0; links.TryGetValue(name, out string? target); hops++)
        {
            if (hops == MaxLinks)
            {
                throw new BerthException(
                    ErrorCode.ArchiveRefused,
                    $"The archive was refused: '{EntryPath.Quote(Encoding.UTF8.GetBytes(name))}' links in a ring.");
            }

            name = target;
        }

        return files.TryGetValue(name, out (long Offset, long Size) place)
            ? new FileSlice(file, place.Offset, place.Size) : null;
    }

    public void Dispose() => file.Dispose();

    /// <summary>Where a symbolic link leads inside the archive; a target outside names nothing.</summary>
    private static string Resolve(string link, string target)
    {
        var parts = new List<string>(target.StartsWith('/') ? [] : link.Split('/')[..^1]);
        foreach (string part in target.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(p => p != "."))
        {
            if (part != "..")
            {
                parts.Add(part);
            }
            else if (parts.Count > 0)
            {
                parts.RemoveAt(parts.Count - 1);
            }
        }

        return string.Join('/', parts);
    }
}
