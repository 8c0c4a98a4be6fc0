using System.Buffers;
using Berth.Core.Faults;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Berth.Server.Logs;

/// <summary>
/// Appends what a program says to its run's log, line by line with the time of arrival. Never throws and never
/// waits for a reader: a log that can't be written loses lines, not runs. No file is made before the first byte.
/// Not for concurrent use.
/// </summary>
public sealed class RunLogWriter : IDisposable
{
    private readonly string folder;
    private readonly long segmentLimit;
    private readonly TimeProvider time;
    private readonly LogSignals.Handle signal;
    private readonly ILogger logger;
    private byte[]? held;
    private int heldLength;
    private FileStream? file;
    private int segment;
    private bool torn;
    private bool failed;

    internal RunLogWriter(string folder, long segmentLimit, TimeProvider time, LogSignals.Handle signal, ILogger logger)
    {
        this.folder = folder;
        this.segmentLimit = segmentLimit;
        this.time = time;
        this.signal = signal;
        this.logger = logger;
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty || failed)
        {
            return;
        }

        try
        {
            WriteLines(bytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            failed = true;
            Log.LogWriteFailed(logger, error, folder);
        }

        signal.Pulse();
    }

    public void Dispose()
    {
        if ((heldLength > 0 || torn) && !failed)
        {
            // The program's last words had no line end.
            Write("\n"u8);
        }

        if (held is not null)
        {
            ArrayPool<byte>.Shared.Return(held);
            held = null;
        }

        file?.Dispose();
        file = null;
    }

    private void WriteLines(ReadOnlySpan<byte> bytes)
    {
        DateTimeOffset now = time.GetUtcNow();
        int lines = bytes.Count((byte)'\n');
        // Each line adds a prefix; a very long one is split once for every MaxText bytes of it.
        int pieces = lines + 2 + ((heldLength + bytes.Length) / LogFormat.MaxText);
        byte[] framed = ArrayPool<byte>.Shared.Rent(
            heldLength + bytes.Length + (pieces * (LogFormat.PrefixLength + 1)));
        try
        {
            int length = 0;
            while (!bytes.IsEmpty)
            {
                int end = bytes.IndexOf((byte)'\n');
                int room = LogFormat.MaxText - heldLength;
                bool whole = end >= 0 && end <= room;
                if (!whole && bytes.Length < room)
                {
                    Hold(bytes);
                    break;
                }

                ReadOnlySpan<byte> text = bytes[..(whole ? end : room)];
                length += Frame(framed.AsSpan(length), now, text, partial: !whole);
                bytes = bytes[(text.Length + (whole ? 1 : 0))..];
            }

            Append(framed.AsSpan(0, length));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(framed);
        }
    }

    private void Hold(ReadOnlySpan<byte> bytes)
    {
        held ??= ArrayPool<byte>.Shared.Rent(LogFormat.MaxText);
        bytes.CopyTo(held.AsSpan(heldLength));
        heldLength += bytes.Length;
    }

    private int Frame(Span<byte> target, DateTimeOffset now, ReadOnlySpan<byte> text, bool partial)
    {
        torn = partial;
        int length = LogFormat.WritePrefix(target, now, partial);
        held.AsSpan(0, heldLength).CopyTo(target[length..]);
        length += heldLength;
        heldLength = 0;
        text.CopyTo(target[length..]);
        length += text.Length;
        target[length] = (byte)'\n';
        return length + 1;
    }

    private void Append(ReadOnlySpan<byte> records)
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
