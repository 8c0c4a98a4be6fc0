namespace Berth.Server.Backups;

/// <summary>
/// The first bytes of a file, as many as it had when it was opened: a log may grow while it is copied.
/// </summary>
/// <param name="mayShrink">Whether a program may shorten it meanwhile, as one may a volume's: what is missing then is
/// zeros, as tar has it. Of any other file that breaks the copy.</param>
internal sealed class SteadyFile(FileStream file, bool mayShrink) : EntryContent(file.Length)
{
    protected override async ValueTask<int> ReadSomeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = await file.ReadAsync(buffer, cancellationToken);
        if (read > 0)
        {
            return read;
        }

        if (!mayShrink)
        {
            throw new EndOfStreamException($"{file.Name} became shorter while it was copied.");
        }

        buffer.Span.Clear();
        return buffer.Length;
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
