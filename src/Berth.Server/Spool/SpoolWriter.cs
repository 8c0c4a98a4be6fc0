using System.Buffers;
using Berth.Core.Faults;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Content;

namespace Berth.Server.Spool;

/// <summary>
/// Receives one body: small ones stay in memory, larger ones go to a temporary file that <see cref="CommitAsync"/>
/// makes durable and names. Disposing without a commit leaves nothing behind. Not for concurrent use.
/// </summary>
public sealed class SpoolWriter : IAsyncDisposable
{
    private readonly string root;
    private readonly string folder;
    private readonly string name;
    private readonly ByteSize limit;
    private readonly Action<string> syncFolder;
    private byte[]? memory;
    private FileStream? file;

    // What disposing removes; null when there is nothing (any more).
    private string? left;

    /// <param name="syncFolder">Makes the names in a folder durable.</param>
    internal SpoolWriter(string root, string folder, string name, ByteSize limit, Action<string> syncFolder)
    {
        this.root = root;
        this.folder = folder;
        this.name = name;
        this.limit = limit;
        this.syncFolder = syncFolder;
    }

    public long Length { get; private set; }

    /// <summary>What was written, when it is small enough to be kept in the store; valid until disposal.</summary>
    public ReadOnlyMemory<byte> Inline => file is null ? memory.AsMemory(0, (int)Length) : default;

    /// <summary>
    /// Takes the next bytes. Returns false, having taken what still fitted, when the limit is passed. Throws
    /// <c>StorageFull</c> when the disk is.
    /// </summary>
    public async ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        bool fits = bytes.Length <= limit.Bytes - Length;
        if (!fits)
        {
            bytes = bytes[..(int)(limit.Bytes - Length)];
        }

        if (file is null && Length + bytes.Length <= RunSpool.InlineLimit)
        {
            if (memory is null || memory.Length < Length + bytes.Length)
            {
                Grow((int)Length + bytes.Length);
            }

            bytes.CopyTo(memory.AsMemory((int)Length));
        }
        else
        {
            await WriteFileAsync(bytes, cancellationToken);
        }

        Length += bytes.Length;
        return fits;
    }

    /// <summary>Makes the body durable (a file) or says that it has yet to be written to the store (inline). Throws
    /// <c>StorageFull</c> when the disk is full: some file systems notice that only now.</summary>
    public async ValueTask<StoredBody> CommitAsync(CancellationToken cancellationToken)
    {
        if (file is null)
        {
            return Length == 0 ? StoredBody.None : new StoredBody(BodyPlace.Inline, Length);
        }

        FileStream open = file;
        try
        {
            // Off the caller's thread: a sync of many megabytes takes its time. Not to be interrupted half way.
            await Task.Run(() => Publish(open), cancellationToken);
        }
        catch (IOException error) when (DurableFile.IsOfTheDisk(error))
        {
            throw DurableFile.Refusal(root, error);
        }

        left = null;
        return new StoredBody(BodyPlace.Spooled, Length);
    }

    public async ValueTask DisposeAsync()
    {
        if (memory is not null)
        {
            ArrayPool<byte>.Shared.Return(memory);
            memory = null;
        }

        if (file is not null)
        {
            await file.DisposeAsync();
        }

        if (left is not null)
        {
            Remove(left);
        }
    }

    private void Publish(FileStream open)
    {
        DurableFile.SyncData(open.SafeFileHandle, open.Name);
        open.Dispose();
        CrashPoints.Reach(CrashPoint.SpoolFileSynced);
        string path = Path.Combine(folder, name);
        File.Move(open.Name, path, overwrite: true);
        left = path;
        CrashPoints.Reach(CrashPoint.SpoolFileNamed);
        syncFolder(folder);
        syncFolder(root);
        CrashPoints.Reach(CrashPoint.SpoolFolderSynced);
    }

    private void Grow(int needed)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, 1024));
        if (memory is not null)
        {
            memory.AsSpan(0, (int)Length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(memory);
        }

        memory = larger;
    }

    private async ValueTask WriteFileAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        try
        {
            if (file is null)
            {
                Directory.CreateDirectory(folder);
                left = Path.Combine(folder, name + ".tmp");
                file = new FileStream(left, new FileStreamOptions
                {
                    Mode = FileMode.Create,
                    Access = FileAccess.Write,
                    BufferSize = 0,
                    Options = FileOptions.Asynchronous,
                });
                await file.WriteAsync(memory.AsMemory(0, (int)Length), cancellationToken);
                CrashPoints.Reach(CrashPoint.SpoolFileMade);
            }

            await file.WriteAsync(bytes, cancellationToken);
        }
        catch (IOException error) when (DurableFile.IsOfTheDisk(error))
        {
            throw DurableFile.Refusal(root, error);
        }
    }

    // Another part of the same run may be in the folder; then it is not empty and stays.
    private void Remove(string path)
    {
        try
        {
            File.Delete(path);
            Directory.Delete(folder);
        }
        catch (IOException)
        {
            return;
        }
    }
}
