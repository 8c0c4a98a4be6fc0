using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Unix;

namespace Berth.Server.Backups;

/// <summary>
/// Makes a data folder from a backup. The folder must be empty; until the last byte is on the disk it carries a mark
/// that keeps servers from starting on it. Blobs are checked against their digests on the way.
/// </summary>
public sealed class BackupRestore
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly string folder;
    private readonly byte[] buffer = new byte[256 * 1024];
    private readonly List<(string Path, string Target)> links = [];
    private readonly List<(string Path, NodeAttributes Attributes, bool Link)> kept = [];
    private readonly HashSet<string> files = new(StringComparer.Ordinal);
    private BackupHeader? header;
    private BackupEnd? end;
    private long entries;

    private BackupRestore(string folder) => this.folder = folder;

    /// <summary>Throws BerthException: <c>InvalidConfiguration</c> where the folder is not empty, <c>ArchiveRefused</c>
    /// where this is no whole backup, <c>DigestMismatch</c> where a blob was changed.</summary>
    /// <param name="progress">Gets the number of bytes restored so far.</param>
    /// <returns>When the backup was made.</returns>
    public static async Task<DateTimeOffset> RestoreAsync(
        Stream backup, string folder, Action<long> progress, CancellationToken cancellationToken)
    {
        string full = Path.GetFullPath(folder);
        Directory.CreateDirectory(full, OwnerOnly);
        string? other = Directory.EnumerateFileSystemEntries(full).Select(e => Path.GetFileName(e))
            .FirstOrDefault(n => n != "lost+found");
        if (other is not null)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                other == BackupFormat.UnfinishedMark
                    ? $"{full} is left from a restore that was not finished: empty it, then restore again."
                    : $"{full} is not empty ('{other}'): a backup is restored into an empty folder.");
        }

        string mark = Path.Combine(full, BackupFormat.UnfinishedMark);
        DurableFile.Replace(mark, "");
        BackupRestore restore = new(full);
        await restore.ReadAsync(backup, progress, cancellationToken);
        File.Delete(mark);
        DurableFile.SyncFolder(full);
        return restore.header!.CreatedAt;
    }

    private async Task ReadAsync(Stream backup, Action<long> progress, CancellationToken cancellationToken)
    {
        try
        {
            await using TarReader tar = new(backup, leaveOpen: true);
            long bytes = 0;
            while (await tar.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
            {
                await TakeAsync(entry, cancellationToken);
                bytes += entry.Length;
                progress(bytes);
            }
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or JsonException or FormatException)
        {
            throw Refused($"it can't be read: {e.Message}", e);
        }

        if (end is null || end.Entries != entries)
        {
            throw Refused("it is not whole: its end is missing", null);
        }

        // Last, so that nothing is written through them.
        foreach ((string path, string target) in links)
        {
            File.CreateSymbolicLink(path, target);
        }

        // The innermost first: a folder may be one that its owner can't write to.
        foreach ((string path, NodeAttributes attributes, bool link) in Enumerable.Reverse(kept))
        {
            attributes.Apply(path, link);
        }

        string[] inside = Directory.GetDirectories(folder, "*", SearchOption.AllDirectories);
        foreach (string inner in inside.Append(folder))
        {
            DurableFile.SyncFolder(inner);
        }
    }

    private async Task TakeAsync(TarEntry entry, CancellationToken cancellationToken)
    {
        bool isSparse = SparseList.IsIn(entry, out string sparseName, out long size);
        string name = isSparse ? sparseName : entry.Name.TrimEnd('/');
        if (header is null)
        {
            header = name == BackupFormat.FirstEntry && entry.DataStream is { } first
                ? await JsonSerializer.DeserializeAsync(first, BackupJson.Default.BackupHeader, cancellationToken)
                : null;
            if (header is not { Format: 1 or BackupFormat.Version })
            {
                throw Refused(
                    header is null ? "it does not begin as one" : $"its format {header.Format} is of a newer Berth",
                    null);
            }

            return;
        }

        if (name == BackupFormat.LastEntry)
        {
            end = await JsonSerializer.DeserializeAsync(
                entry.DataStream!, BackupJson.Default.BackupEnd, cancellationToken);
            return;
        }

        if (end is not null || name.Split('/').Any(part => part is "" or "." or "..") || name.Contains('\0'))
        {
            throw Refused($"the entry '{name}' has no place in one", null);
        }

        entries++;
        if (isSparse)
        {
            await WriteSparseAsync(entry, name, size, cancellationToken);
        }
        else
        {
            await MakeAsync(entry, name, cancellationToken);
        }
    }

    private async Task MakeAsync(TarEntry entry, string name, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, OwnerOnly);
        if (BackupFormat.IsOfAVolume(name) && entry.EntryType != TarEntryType.HardLink)
        {
            kept.Add((path, AttributesOf((PaxTarEntry)entry), entry.EntryType == TarEntryType.SymbolicLink));
        }

        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                Directory.CreateDirectory(path);
                File.SetUnixFileMode(path, entry.Mode | OwnerOnly);
                break;
            case TarEntryType.SymbolicLink:
                links.Add((path, entry.LinkName));
                break;
            case TarEntryType.HardLink when files.Contains(entry.LinkName):
                NodeAttributes.Link(Path.Combine(folder, entry.LinkName), path);
                break;
            case TarEntryType.RegularFile:
                files.Add(name);
                await WriteAsync(entry, name, path, cancellationToken);
                break;
            default:
                throw Refused($"the entry '{name}' is a {entry.EntryType}", null);
        }
    }

    private static NodeAttributes AttributesOf(PaxTarEntry entry) => new(
        (uint)entry.Uid, (uint)entry.Gid, entry.Mode, default, Links: 1,
        entry.ExtendedAttributes.Where(a => a.Key.StartsWith(BackupFormat.Attribute, StringComparison.Ordinal))
            .ToDictionary(
                a => a.Key[BackupFormat.Attribute.Length..], a => Convert.FromBase64String(a.Value),
                StringComparer.Ordinal));

    private async Task WriteAsync(TarEntry entry, string name, string path, CancellationToken cancellationToken)
    {
        Digest? expected = BlobOf(name);
        using IncrementalHash? hash = expected?.CreateHash();
        await using (FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = entry.Mode & (UnixFileMode)0b111_111_111,
        }))
        {
            int read;
            while (entry.DataStream is { } content && (read = await content.ReadAsync(buffer, cancellationToken)) > 0)
            {
                hash?.AppendData(buffer, 0, read);
                await file.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            }

            DurableFile.SyncData(file.SafeFileHandle, path);
        }

        File.SetLastWriteTimeUtc(path, entry.ModificationTime.UtcDateTime);
        if (expected is { } digest && Digest.FromHash(digest.Algorithm, hash!.GetHashAndReset()) != digest)
        {
            throw new BerthException(
                ErrorCode.DigestMismatch, $"The blob {digest} was changed in the backup: use another backup.");
        }
    }

    private async Task WriteSparseAsync(TarEntry entry, string name, long size, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, OwnerOnly);
        await using FileStream file = new(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = entry.Mode & (UnixFileMode)0b111_111_111,
        });
        file.SetLength(size);
        Stream content = entry.DataStream ?? Stream.Null;
        foreach (FileExtent extent in await SparseList.ReadAsync(content, size, cancellationToken))
        {
            for (long at = extent.Offset; at < extent.End;)
            {
                Memory<byte> some = buffer.AsMemory(0, (int)Math.Min(buffer.Length, extent.End - at));
                await content.ReadExactlyAsync(some, cancellationToken);
                await RandomAccess.WriteAsync(file.SafeFileHandle, some, at, cancellationToken);
                at += some.Length;
            }
        }

        DurableFile.SyncData(file.SafeFileHandle, path);
    }

    private static Digest? BlobOf(string name) =>
        name.Split('/') is ["blobs", var algorithm, _, var hex]
        && Digest.TryParse($"{algorithm}:{hex}", out Digest digest) ? digest : null;

    private BerthException Refused(string why, Exception? cause) => new(
        ErrorCode.ArchiveRefused,
        $"This is no backup that can be restored: {why}. {folder} is not to be used.", cause);
}
