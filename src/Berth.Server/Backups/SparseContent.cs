using Berth.Oci.Unix;

namespace Berth.Server.Backups;

/// <summary>
/// What a file with holes is in a tar archive, by GNU tar's format 1.0: a list of the parts that have data, as decimal
/// lines filled up to a block, then those parts. The entry's attributes carry its name and size.
/// </summary>
internal sealed class SparseContent : EntryContent
{
    private readonly FileStream file;
    private readonly byte[] list;
    private readonly IReadOnlyList<FileExtent> extents;
    private int next;
    private long done;

    private SparseContent(FileStream file, IReadOnlyList<FileExtent> extents, byte[] list)
        : base(list.Length + extents.Sum(e => e.Length))
    {
        this.file = file;
        this.extents = extents;
        this.list = list;
    }

    /// <summary>Of a file that nothing changes, which is closed with it.</summary>
    public static SparseContent Of(FileStream file)
    {
        IReadOnlyList<FileExtent> extents = SparseFile.ExtentsOf(file.SafeFileHandle);
        return new SparseContent(file, extents, SparseList.Write(extents, file.Length));
    }

    protected override async ValueTask<int> ReadSomeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (Position < list.Length)
        {
            int rest = (int)Math.Min(buffer.Length, list.Length - Position);
            list.AsMemory((int)Position, rest).CopyTo(buffer);
            return rest;
        }

        FileExtent extent = extents[next];
        int most = (int)Math.Min(buffer.Length, extent.Length - done);
        int read = await RandomAccess.ReadAsync(
            file.SafeFileHandle, buffer[..most], extent.Offset + done, cancellationToken);
        if (read == 0)
        {
            throw new EndOfStreamException($"{file.Name} became shorter while it was copied.");
        }

        done += read;
        if (done == extent.Length)
        {
            next++;
            done = 0;
        }

        return read;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            file.Dispose();
        }

        base.Dispose(disposing);
    }
}
