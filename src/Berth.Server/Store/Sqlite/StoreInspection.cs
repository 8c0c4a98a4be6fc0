using System.Buffers.Binary;
using System.Diagnostics;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// Looks at the checksums of a store that nobody has open: closing a file ends all locks that the process has on it, so
/// that a store in use is never opened beside SQLite.
/// </summary>
/// <param name="Pages">How many were looked at.</param>
/// <param name="IsWhole">Whether these were all there are.</param>
/// <param name="HasChecksums">False for a store of a version that wrote none.</param>
/// <param name="Damage">What is wrong, with the file's name; null where nothing is.</param>
public sealed record StoreInspection(long Pages, bool IsWhole, bool HasChecksums, TimeSpan Took, string? Damage)
{
    /// <summary>The first version with checksums: migration 5.</summary>
    private const uint FirstVersion = 5;

    private const int HeaderBytes = 100;
    private const int PieceBytes = 1024 * 1024;

    // SQLite's lock byte is in a page that is never written (sqlite.org/fileformat2.html#lock_byte_page).
    private const long LockByte = 0x40000000;

    private static readonly StoreInspection Nothing = new(0, true, true, TimeSpan.Zero, null);

    /// <param name="path">The database file; need not exist.</param>
    /// <param name="limit">What is not read by then is left to be looked at when it is used.</param>
    public static StoreInspection Of(string path, TimeSpan limit, CancellationToken cancellationToken)
    {
        // With a journal beside it the file is still being made; SQLite puts it right.
        if (!File.Exists(path) || new FileInfo(path).Length < HeaderBytes || File.Exists(path + "-journal"))
        {
            return Nothing;
        }

        WriteAheadLog log = WriteAheadLog.Read(path + "-wal");
        if (log.Damage is not null)
        {
            return Nothing with { Damage = log.Damage };
        }

        using FileStream file = new(
            path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0, FileOptions.SequentialScan);
        byte[] header = new byte[HeaderBytes];
        file.ReadExactly(header);
        (int size, int reserved) = (BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(16)), header[20]);
        if (reserved == 0 && BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(60)) < FirstVersion)
        {
            return Nothing with { HasChecksums = false };
        }

        size = log.PageSize == 0 ? size : log.PageSize;
        return size >= 512 && int.IsPow2(size)
            ? Scan(file, path, size, log, limit, cancellationToken)
            : Nothing with { Damage = $"{path}: the header is not as it was written" };
    }

    /// <summary>The store of a data folder; null where there is none, or it can't be read.</summary>
    /// <param name="inUse">Whether a server has the folder; then nothing is looked at.</param>
    public static StoreInspection? OfFolder(string folder, out bool inUse, CancellationToken cancellationToken)
    {
        inUse = false;
        try
        {
            // The lock that a server takes.
            using FileStream held = new(
                Path.Combine(folder, "lock"), FileMode.Open, FileAccess.Read, FileShare.None, bufferSize: 0);
            string path = Path.Combine(folder, "berth.db");
            return File.Exists(path) ? Of(path, TimeSpan.MaxValue, cancellationToken) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException
            or UnauthorizedAccessException)
        {
            return null;
        }
        catch (IOException)
        {
            inUse = true;
            return null;
        }
    }

    private static StoreInspection Scan(
        FileStream file, string path, int size, WriteAheadLog log, TimeSpan limit, CancellationToken cancellationToken)
    {
        long begun = Stopwatch.GetTimestamp();
        byte[] piece = new byte[PieceBytes];
        long pages = file.Length / size;
        long page = 0;
        file.Position = 0;
        while (page < pages && Stopwatch.GetElapsedTime(begun) < limit)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int wanted = (int)Math.Min(PieceBytes, (pages - page) * size);
            file.ReadExactly(piece, 0, wanted);
            for (int at = 0; at < wanted; at += size)
            {
                page++;
                // What the log has is not read from here: a power cut may have left half of it.
                if (!PageChecksum.IsWhole(piece.AsSpan(at, size)) && page != (LockByte / size) + 1
                    && !log.Holds(page))
                {
                    return new StoreInspection(
                        page, false, true, Stopwatch.GetElapsedTime(begun),
                        $"{path}: page {page} of {pages} is not as it was written");
                }
            }
        }

        return new StoreInspection(page, page == pages, true, Stopwatch.GetElapsedTime(begun), null);
    }
}
