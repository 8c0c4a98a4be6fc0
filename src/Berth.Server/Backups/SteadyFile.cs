namespace Berth.Server.Backups;

/// <summary>
/// The first bytes of a file, as many as it had when it was opened: a log may grow while it is copied. A file that
/// shrinks meanwhile breaks the copy.
/// </summary>
internal sealed class SteadyFile(FileStream file) : EntryContent(file.Length)
{
    protected override async ValueTask<int> ReadSomeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = await file.ReadAsync(buffer, cancellationToken);
        return read > 0 ? read : throw new EndOfStreamException($"{file.Name} became shorter while it was copied.");
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
