using Berth.Core.Faults;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Berth.Server.Logs;

/// <summary>
/// The segments of one log, written by whoever has the program's streams. Never throws: a log that can't be written
/// loses lines, not runs, says in their place how many, and goes on when it can be written again. No file is made
/// before the first byte.
/// </summary>
internal sealed class LogFile(string folder, long segmentLimit, TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>Between two tries to write to a disk that did not take it.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private FileStream? file;
    private int segment;
    private long lost;
    private long triedAt;

    /// <param name="records">Whole records, each with its line end.</param>
    public void Append(ReadOnlySpan<byte> records)
    {
        lock (gate)
        {
            if (lost > 0 && time.GetElapsedTime(triedAt) < Pause)
            {
                lost += records.Count((byte)'\n');
                return;
            }

            TryWrite(records);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            if (lost > 0)
            {
                TryWrite([]);
            }

            Close();
        }
    }

    private void TryWrite(ReadOnlySpan<byte> records)
    {
        try
        {
            if (lost > 0)
            {
                byte[] notice = LogFormat.Notice(
                    time.GetUtcNow(), $"[berth: {lost} lines are missing here: the server's disk did not take them]");
                ReadOnlySpan<byte> left = notice;
                Write(ref left);
                Log.LogWritableAgain(logger, folder, lost);
                lost = 0;
            }

            Write(ref records);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            if (lost == 0)
            {
                Log.LogWriteFailed(logger, error, folder);
            }

            lost += records.Count((byte)'\n');
            triedAt = time.GetTimestamp();
            // A part of a record may be in it: opened again, that is seen to.
            Close();
        }
    }

    private void Close()
    {
        file?.Dispose();
        file = null;
    }

    /// <param name="records">What is not written yet.</param>
    private void Write(ref ReadOnlySpan<byte> records)
    {
        while (!records.IsEmpty)
        {
            FileStream target = CurrentFile();
            long room = Math.Max(segmentLimit - target.Length, 0);
            int cut = records.Length;
            if (cut > room)
            {
                // Records are never torn over two segments; one alone may pass the limit of an empty segment.
                cut = records[..(int)room].LastIndexOf((byte)'\n') + 1;
                cut = cut == 0 && target.Length == 0 ? records.IndexOf((byte)'\n') + 1 : cut;
            }

            target.Write(records[..cut]);
            records = records[cut..];
            if (!records.IsEmpty)
            {
                BeginSegment(segment + 1);
            }
        }
    }

    private FileStream CurrentFile()
    {
        if (file is null)
        {
            Directory.CreateDirectory(folder);
            int newest = LogSegments.List(folder) is { Count: > 0 } numbers ? numbers[^1] : 0;
            bool torn = EndsTorn(LogSegments.PathOf(folder, newest));
            BeginSegment(newest);
            if (torn)
            {
                file!.Write("\n"u8);
            }
        }

        return file!;
    }

    /// <summary>Whether a killed server left half a record, which the next one must not be joined to.</summary>
    private static bool EndsTorn(string path)
    {
        if (!File.Exists(path))
        {
            return false;
        }

        using SafeFileHandle segment = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete);
        long length = RandomAccess.GetLength(segment);
        Span<byte> last = stackalloc byte[1];
        return length > 0 && RandomAccess.Read(segment, last, length - 1) == 1 && last[0] != (byte)'\n';
    }

    private void BeginSegment(int number)
    {
        file?.Dispose();
        segment = number;
        file = new FileStream(
            LogSegments.PathOf(folder, number), FileMode.Append, FileAccess.Write,
            FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        CrashPoints.Reach(CrashPoint.LogSegmentBegun);
        if (LogSegments.Overflow(number) is { } old)
        {
            File.Delete(LogSegments.PathOf(folder, old));
        }
    }
}
