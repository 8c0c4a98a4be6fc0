using System.Buffers;

namespace Berth.Server.Logs;

/// <summary>
/// Appends what a program says by one of its streams to its log, line by line with the time of arrival. Never throws
/// and never waits for a reader. Not for concurrent use; the two streams of one program have a writer each.
/// </summary>
public sealed class RunLogWriter : IDisposable
{
    private readonly LogFile file;
    private readonly bool ownsFile;
    private readonly LogStream stream;
    private readonly TimeProvider time;
    private readonly LogSignals.Handle signal;
    private byte[]? held;
    private int heldLength;
    private bool torn;

    internal RunLogWriter(LogFile file, bool ownsFile, LogStream stream, TimeProvider time, LogSignals.Handle signal)
    {
        this.file = file;
        this.ownsFile = ownsFile;
        this.stream = stream;
        this.time = time;
        this.signal = signal;
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return;
        }

        WriteLines(bytes);
        signal.Pulse();
    }

    public void Dispose()
    {
        if (heldLength > 0 || torn)
        {
            // The program's last words had no line end.
            Write("\n"u8);
        }

        if (held is not null)
        {
            ArrayPool<byte>.Shared.Return(held);
            held = null;
        }

        if (ownsFile)
        {
            file.Dispose();
        }
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

            file.Append(framed.AsSpan(0, length));
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
        int length = LogFormat.WritePrefix(target, now, stream, partial);
        held.AsSpan(0, heldLength).CopyTo(target[length..]);
        length += heldLength;
        heldLength = 0;
        text.CopyTo(target[length..]);
        length += text.Length;
        target[length] = (byte)'\n';
        return length + 1;
    }
}
