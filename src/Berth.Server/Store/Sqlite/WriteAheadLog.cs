using System.Buffers.Binary;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// Reads a write-ahead log that nobody has open (sqlite.org/fileformat2.html#walformat). SQLite ends at the first frame
/// that is not right and takes the rest for what a power cut left of the last commit. That is so where at most one
/// commit follows; where more do, they were synced, and their loss would be silent.
/// </summary>
internal sealed class WriteAheadLog
{
    private const int HeaderBytes = 32;
    private const int FrameHeaderBytes = 24;

    // The other magic number says that checksums are over big-endian words.
    private const uint Magic = 0x377f0682;

    private readonly HashSet<uint> pages = [];
    private readonly string path;

    private WriteAheadLog(string path) => this.path = path;

    /// <summary>What is wrong with it; null where nothing is.</summary>
    public string? Damage { get; private set; }

    /// <summary>Bytes of a page; 0 where there is no frame.</summary>
    public int PageSize { get; private set; }

    /// <summary>Whether a commit in here has this page, whatever the database file says.</summary>
    public bool Holds(long page) => pages.Contains((uint)page);

    public static WriteAheadLog Read(string path)
    {
        WriteAheadLog log = new(path);
        if (File.Exists(path))
        {
            using FileStream file = new(
                path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1024 * 1024, FileOptions.SequentialScan);
            log.Read(file);
        }

        return log;
    }

    private void Read(FileStream file)
    {
        byte[] header = new byte[HeaderBytes];
        if (file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes
            || file.Length < HeaderBytes + FrameHeaderBytes)
        {
            return;
        }

        (uint, uint) sum = PageChecksum.Of(header.AsSpan(0, 24));
        // It is synced before the first frame comes.
        if (Word(header, 0) != Magic || sum != (Word(header, 24), Word(header, 28)))
        {
            Damage = $"{path}: the header is not as it was written";
            return;
        }

        PageSize = (int)Word(header, 8);
        ReadFrames(file, header.AsSpan(16, 8), sum);
    }

    private void ReadFrames(FileStream file, ReadOnlySpan<byte> salts, (uint, uint) sum)
    {
        byte[] frame = new byte[FrameHeaderBytes + PageSize];
        List<uint> uncommitted = [];
        long firstWrong = 0;
        int commitsLost = 0;
        for (long number = 1; file.ReadAtLeast(frame, frame.Length, false) == frame.Length; number++)
        {
            (uint page, uint commit) = (Word(frame, 0), Word(frame, 4));
            bool isOfThisLog = salts.SequenceEqual(frame.AsSpan(8, 8));
            sum = PageChecksum.Of(frame.AsSpan(FrameHeaderBytes), PageChecksum.Of(frame.AsSpan(0, 8), sum));
            if (firstWrong == 0 && isOfThisLog && page != 0 && sum == (Word(frame, 16), Word(frame, 20)))
            {
                uncommitted.Add(page);
                if (commit != 0)
                {
                    pages.UnionWith(uncommitted);
                    uncommitted.Clear();
                }

                continue;
            }

            commitsLost += commit != 0 && (isOfThisLog || firstWrong == 0) ? 1 : 0;
            firstWrong = firstWrong == 0 ? number : firstWrong;
        }

        if (commitsLost > 1)
        {
            Damage = $"{path}: frame {firstWrong} is not as it was written, and {commitsLost} commits follow";
        }
    }

    private static uint Word(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32BigEndian(bytes[at..]);
}
