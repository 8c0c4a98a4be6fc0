using System.Formats.Tar;
using Berth.Init.Linux;

namespace Berth.Init.Files;

/// <summary>Writes a file or a folder with all below it as a tar archive.</summary>
internal sealed class TreeReader(Stream output)
{
    private readonly TarWriter writer = new(output, TarEntryFormat.Pax, leaveOpen: true);

    public void Read(string path)
    {
        FileSystemInfo found = PathDescription.Find(path);
        string name = Path.GetFileName(found.FullName.TrimEnd('/'));
        Add(found, name.Length == 0 ? "." : name);
        writer.Dispose();
    }

    private void Add(FileSystemInfo found, string name)
    {
        if (found.LinkTarget is { } target)
        {
            Write(new PaxTarEntry(TarEntryType.SymbolicLink, name) { LinkName = target }, found);
        }
        else if (found is DirectoryInfo folder)
        {
            Write(new PaxTarEntry(TarEntryType.Directory, name + "/"), found);
            foreach (FileSystemInfo entry in folder.EnumerateFileSystemInfos())
            {
                // The kernel's own file systems are no files of the container.
                if (folder.FullName != "/" || entry.Name is not ("proc" or "sys" or "dev"))
                {
                    Add(entry, name + "/" + entry.Name);
                }
            }
        }
        else if (StatusOf(found.FullName).IsRegular)
        {
            // A file may grow or shrink while it is read; the archive has the length it began with.
            using FileStream content = new(
                found.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            using FixedLength measured = new(content, content.Length);
            Write(new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = measured }, found);
        }
    }

    private void Write(PaxTarEntry entry, FileSystemInfo found)
    {
        // Of a link, what it leads to may not be there.
        bool link = entry.EntryType == TarEntryType.SymbolicLink;
        entry.Mode = link ? (UnixFileMode)0x1FF : found.UnixFileMode;
        if (!link)
        {
            entry.ModificationTime = found.LastWriteTimeUtc;
        }

        Kernel.FileStatus status = StatusOf(found.FullName);
        entry.Uid = (int)status.User;
        entry.Gid = (int)status.Group;
        writer.WriteEntry(entry);
    }

    private static unsafe Kernel.FileStatus StatusOf(string path)
    {
        Kernel.FileStatus status = default;
        Kernel.LStat(path, &status);
        return status;
    }

    /// <summary>Exactly so many bytes of another stream: no more, and zeros for what is missing.</summary>
    private sealed class FixedLength(Stream inner, long length) : Stream
    {
        private long position;

        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => length;

        public override long Position
        {
            get => position;
            set => throw new NotSupportedException();
        }

        public override int Read(Span<byte> buffer)
        {
            int most = (int)Math.Min(buffer.Length, length - position);
            int count = most == 0 ? 0 : inner.Read(buffer[..most]);
            if (count == 0 && most > 0)
            {
                buffer[..most].Clear();
                count = most;
            }

            position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
