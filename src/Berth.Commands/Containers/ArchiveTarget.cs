using System.Formats.Tar;
using Berth.Api.Containers;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary>
/// Where an archive that came out of a container is unpacked here. What is in it is a stranger's: no name and no link
/// of it may lead anywhere else, and it brings neither devices nor setuid bits.
/// </summary>
internal sealed class ArchiveTarget
{
    private const UnixFileMode Permissions = (UnixFileMode)0b111_111_111;

    private readonly string root;
    private readonly string name;

    private ArchiveTarget(string root, string name)
    {
        this.root = root;
        this.name = name;
    }

    /// <param name="local">As given.</param>
    /// <param name="contents">Only what is in the folder.</param>
    public static ArchiveTarget For(string local, PathView found, bool contents)
    {
        if (Directory.Exists(local))
        {
            return new ArchiveTarget(Path.GetFullPath(local), contents ? "" : found.Name);
        }

        if (local.EndsWith('/') && found.Kind != "folder")
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"There is no folder '{local}' here.");
        }

        if (File.Exists(local) && found.Kind == "folder")
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"'{local}' is a file, and a folder can't replace it.");
        }

        string full = Path.GetFullPath(local.TrimEnd('/'));
        string parent = Path.GetDirectoryName(full) ?? "/";
        return Directory.Exists(parent)
            ? new ArchiveTarget(parent, Path.GetFileName(full))
            : throw new BerthException(ErrorCode.InvalidRequest, $"There is no folder '{parent}' here: make it first.");
    }

    public async Task UnpackAsync(Stream archive, CancellationToken cancellationToken)
    {
        await using TarReader reader = new(archive, leaveOpen: true);
        try
        {
            while (await reader.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
            {
                await UnpackAsync(entry, cancellationToken);
            }
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or HttpIOException)
        {
            throw new BerthException(ErrorCode.Upstream, $"The archive broke off: {e.Message}", e);
        }
    }

    private async Task UnpackAsync(TarEntry entry, CancellationToken cancellationToken)
    {
        if (PathOf(entry.Name) is not { } path)
        {
            return;
        }

        RefuseLinks(path);
        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                Directory.CreateDirectory(path);
                // What comes into it must be writable until the end.
                File.SetUnixFileMode(
                    path, (entry.Mode & Permissions) | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                break;
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                File.Delete(path);
                await using (FileStream file = new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0))
                {
                    await (entry.DataStream ?? Stream.Null).CopyToAsync(file, cancellationToken);
                }

                File.SetUnixFileMode(path, entry.Mode & Permissions);
                File.SetLastWriteTimeUtc(path, entry.ModificationTime.UtcDateTime);
                break;
            case TarEntryType.SymbolicLink:
                File.Delete(path);
                File.CreateSymbolicLink(path, entry.LinkName);
                break;
            default:
                throw new BerthException(
                    ErrorCode.ArchiveRefused, $"The archive holds something that is no file: {entry.Name}");
        }
    }

    /// <summary>The archive's names begin with the name of what was asked for, which is this target's here. Null for
    /// the folder itself where only its contents are wanted.</summary>
    private string? PathOf(string text)
    {
        string[] parts = text.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 0 || parts.Contains("..") || text.StartsWith('/'))
        {
            throw new BerthException(ErrorCode.ArchiveRefused, $"The archive has a name that leads elsewhere: {text}");
        }

        string[] inside = parts[1..];
        return name.Length == 0
            ? inside.Length == 0 ? null : Path.Combine(root, Path.Combine(inside))
            : Path.Combine([root, name, .. inside]);
    }

    /// <summary>Nothing is written through a link that the archive itself brought, or that was here.</summary>
    private void RefuseLinks(string path)
    {
        string? folder = Path.GetDirectoryName(path);
        while (folder is not null && folder.Length > root.Length)
        {
            if (new DirectoryInfo(folder).LinkTarget is not null)
            {
                throw new BerthException(
                    ErrorCode.ArchiveRefused, $"'{folder}' is a link; the archive would be written through it.");
            }

            folder = Path.GetDirectoryName(folder);
        }
    }
}
