using System.Text;
using Berth.Core.Errors;
using Berth.Oci.Tar;
using Berth.Oci.Unix;

namespace Berth.Oci.Packing;

/// <summary>
/// Writes a folder as a tar archive in which nothing depends on the machine: names sorted by bytes, one time for all,
/// owners 0:0 unless asked otherwise, no user names, no attributes. Links are packed, never followed.
/// </summary>
internal sealed class FolderWriter(
    Stream output, PackOptions options, Action<long>? progress, CancellationToken cancellationToken)
{
    private static readonly TarLimits Limits = TarLimits.Default;

    private readonly Dictionary<(ulong FileSystem, ulong Inode), byte[]> linked = [];
    private readonly byte[] buffer = new byte[256 * 1024];
    private readonly long seconds = Math.Max(0, options.Timestamp.ToUnixTimeSeconds());

    internal long Bytes { get; private set; }

    internal int Entries { get; private set; }

    internal void Write()
    {
        if (!Directory.Exists(options.Folder))
        {
            throw new BerthException(ErrorCode.NotFound, $"There is no folder '{options.Folder}' to pack.");
        }

        using UnixFolder root = UnixFolder.Open(options.Folder);
        byte[] prefix = WritePrefix();
        WriteChildren(root, prefix, 0);
        output.Write(TarHeaderWriter.End);
    }

    /// <summary>The folders above the content; their times and modes must not depend on what lies below them.</summary>
    private byte[] WritePrefix()
    {
        byte[] given = Encoding.UTF8.GetBytes(options.Prefix.Trim('/'));
        if (given.Length == 0)
        {
            return [];
        }

        EntryPath prefix = EntryPath.Parse(given, Limits);
        for (int at = 0; at <= prefix.Bytes.Length; at++)
        {
            if (at == prefix.Bytes.Length || prefix.Bytes[at] == (byte)'/')
            {
                WriteHeader(TarEntryKind.Folder, [.. prefix.Bytes[..at], (byte)'/'], [], 0b111_101_101, 0, 0, 0);
            }
        }

        return prefix.Bytes.ToArray();
    }

    private void WriteChildren(UnixFolder folder, byte[] path, int depth)
    {
        if (depth >= Limits.Depth)
        {
            throw Refuse(path, $"lies more than {Limits.Depth} folders deep");
        }

        List<byte[]> names = folder.ReadNames();
        names.Sort(static (a, b) => a.AsSpan().SequenceCompareTo(b));
        foreach (byte[] name in names)
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] child = path.Length == 0 ? name : [.. path, (byte)'/', .. name];
            CheckName(name, child);
            Errno error = folder.TryStatus(name, out NodeStatus status);
            if (error != Errno.None)
            {
                throw error == Errno.NoEntry ? Changed(child) : UnixError.From(error, "stat", EntryPath.Quote(child));
            }

            WriteChild(folder, name, child, status, depth);
        }
    }

    private void WriteChild(UnixFolder folder, byte[] name, byte[] path, in NodeStatus status, int depth)
    {
        switch (status.Kind)
        {
            case NodeKind.Folder:
                WriteHeader(TarEntryKind.Folder, [.. path, (byte)'/'], [], status.Mode, status.User, status.Group, 0);
                if (folder.TryOpenFolder(name, out UnixFolder? opened) != Errno.None)
                {
                    throw Changed(path);
                }

                using (opened)
                {
                    WriteChildren(opened!, path, depth + 1);
                }

                break;
            case NodeKind.SymbolicLink:
                WriteHeader(
                    TarEntryKind.SymbolicLink, path, folder.ReadLink(name), 0b111_111_111, status.User, status.Group,
                    0);
                break;
            case NodeKind.File when status.Links > 1
                && linked.TryGetValue((status.FileSystem, status.Inode), out byte[]? first):
                WriteHeader(TarEntryKind.HardLink, path, first, status.Mode, status.User, status.Group, 0);
                break;
            case NodeKind.File:
                WriteFile(folder, name, path, status);
                break;
            default:
                throw Refuse(path, $"is a {Describe(status.Kind)}, which an image must not hold");
        }
    }

    private void WriteFile(UnixFolder folder, byte[] name, byte[] path, in NodeStatus status)
    {
        if (status.Links > 1)
        {
            linked[(status.FileSystem, status.Inode)] = path;
        }

        string display = EntryPath.Quote(path);
        Errno error = folder.TryOpenFile(name, out int descriptor);
        if (error != Errno.None)
        {
            throw error is Errno.NoEntry or Errno.Loop ? Changed(path) : UnixError.From(error, "open", display);
        }

        try
        {
            if (UnixFile.Status(descriptor, display) is var opened
                && (opened.Inode != status.Inode || opened.Kind != NodeKind.File))
            {
                throw Changed(path);
            }

            WriteHeader(TarEntryKind.File, path, [], status.Mode, status.User, status.Group, status.Size);
            long left = status.Size;
            int count;
            while ((count = UnixFile.Read(descriptor, buffer, display)) > 0)
            {
                left -= count;
                if (left < 0)
                {
                    throw Changed(path);
                }

                output.Write(buffer.AsSpan(0, count));
                Bytes += count;
                progress?.Invoke(Bytes);
                cancellationToken.ThrowIfCancellationRequested();
            }

            NodeStatus after = UnixFile.Status(descriptor, display);
            if (left != 0 || (after.Seconds, after.Nanoseconds) != (status.Seconds, status.Nanoseconds))
            {
                throw Changed(path);
            }

            output.Write(new byte[TarHeaderWriter.Padding(status.Size)]);
        }
        finally
        {
            UnixFile.Close(descriptor, display);
        }
    }

    private void WriteHeader(TarEntryKind kind, byte[] path, byte[] target, uint mode, uint user, uint group, long size)
    {
        Entries++;
        (long owner, long ownerGroup) = options.KeepOwners ? ((long)user, (long)group) : (0, 0);
        output.Write(TarHeaderWriter.Format(
            new TarEntry(kind, path, target, mode, owner, ownerGroup, size, seconds, 0, 0, 0, [])));
    }

    private static void CheckName(byte[] name, byte[] path)
    {
        if (name.AsSpan().StartsWith(".wh."u8))
        {
            throw Refuse(path, "begins with '.wh.', which in an image means that a file was removed");
        }

        if (!System.Text.Unicode.Utf8.IsValid(name))
        {
            throw Refuse(path, "has a name that is not UTF-8, which image formats require");
        }

        try
        {
            _ = EntryPath.Parse(path, Limits);
        }
        catch (BerthException e)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, e.Message.Replace("archive was", "folder was", StringComparison.Ordinal), e);
        }
    }

    private static string Describe(NodeKind kind) => kind switch
    {
        NodeKind.Fifo => "fifo",
        NodeKind.Socket => "socket",
        _ => "device",
    };

    private static BerthException Changed(byte[] path) => Refuse(path, "changed while it was being packed; pack again");

    private static BerthException Refuse(byte[] path, string why) =>
        new(ErrorCode.InvalidRequest, $"'{EntryPath.Quote(path)}' {why}.");
}
