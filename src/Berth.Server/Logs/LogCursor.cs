namespace Berth.Server.Logs;

/// <summary>
/// A position in a run's log that moves forward over its segments as they grow. Holds one record in memory.
/// </summary>
internal sealed class LogCursor(string folder, long segmentLimit) : IDisposable
{
    private readonly byte[] buffer = new byte[64 * 1024];
    private FileStream? file;
    private int segment = -1;
    private int start;
    private int end;
    private long gap;

    /// <summary>The next whole record there is now; false at the present end.</summary>
    public bool TryRead(out LogLine line)
    {
        while (true)
        {
            int length = buffer.AsSpan(start, end - start).IndexOf((byte)'\n');
            if (length >= 0)
            {
                // Copied, because the buffer moves on while the caller keeps the line.
                byte[] record = buffer.AsSpan(start, length).ToArray();
                start += length + 1;
                if (LogFormat.TryParse(record, gap, out line))
                {
                    gap = 0;
                    return true;
                }

                continue;
            }

            if (!Fill() && !NextSegment())
            {
                line = default;
                return false;
            }
        }
    }

    public void Dispose() => file?.Dispose();

    private bool Fill()
    {
        if (file is null)
        {
            return false;
        }

        buffer.AsSpan(start, end - start).CopyTo(buffer);
        end -= start;
        start = 0;
        if (end == buffer.Length)
        {
            // Longer than any record: not ours, skip it.
            end = 0;
        }

        int count = file.Read(buffer, end, buffer.Length - end);
        end += count;
        return count > 0;
    }

    private bool NextSegment()
    {
        foreach (int number in LogSegments.List(folder))
        {
            if (number <= segment)
            {
                continue;
            }

            // A newer segment begins only when the older one is final, but that may have grown since it was read.
            if (file is not null && Fill())
            {
                return true;
            }

            FileStream? next = TryOpen(number);
            if (next is null)
            {
                continue;
            }

            gap += (number - segment - 1) * segmentLimit;
            file?.Dispose();
            file = next;
            segment = number;
            start = end = 0;
            return true;
        }

        return false;
    }

    // The writer may delete an old segment between the listing and the opening.
    private FileStream? TryOpen(int number)
    {
        try
        {
            return new FileStream(
                LogSegments.PathOf(folder, number), FileMode.Open, FileAccess.Read,
                FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }
}
