using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Content;

namespace Berth.Server.Spool;

/// <summary>
/// Files for inputs and results too large for the store: <c>spool/&lt;run id&gt;/input</c> and
/// <c>result-&lt;generation&gt;</c>. A file is complete and durable before the store names it; what the store does not
/// name is rubbish and is swept. A result carries its generation, so that an attempt that lost its claim can't
/// overwrite the result that counts.
/// </summary>
public sealed class RunSpool
{
    /// <summary>
    /// Bodies up to this size are kept in the store, in the transaction of their run: one sync instead of three.
    /// </summary>
    public const int InlineLimit = 32 * 1024;

    private const string ResultPrefix = "result-";

    private readonly string folder;

    public RunSpool(string folder)
    {
        this.folder = Path.GetFullPath(folder);
        Directory.CreateDirectory(this.folder);
    }

    /// <summary>Begins an input. Nothing touches the disk until it is larger than <see cref="InlineLimit"/>.</summary>
    public SpoolWriter WriteInput(RunId id, ByteSize limit) =>
        new(folder, Path.Combine(folder, id.Text), "input", limit, DurableFile.SyncFolder);

    public SpoolWriter WriteResult(RunId id, int generation, ByteSize limit) =>
        new(folder, Path.Combine(folder, id.Text), ResultName(generation), limit, DurableFile.SyncFolder);

    /// <summary>
    /// Opens a spooled input. Throws FileNotFoundException or DirectoryNotFoundException once it was deleted.
    /// </summary>
    public FileStream OpenInput(RunId id) => Open(id, "input");

    public FileStream OpenResult(RunId id, int generation) => Open(id, ResultName(generation));

    /// <summary>Deletes all files of a run; no error when there are none.</summary>
    public void Delete(RunId id)
    {
        string path = Path.Combine(folder, id.Text);
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>The same where a failure matters less than what came before it: what stays goes with a later look for
    /// files without a run.</summary>
    public void TryDelete(RunId id)
    {
        try
        {
            Delete(id);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A disk that fails takes no deletion either.
        }
    }

    /// <summary>Deletes what attempts of a run that has not ended left, whole results and begun ones; no error when
    /// there are none.</summary>
    public void DeleteResults(RunId id)
    {
        string path = Path.Combine(folder, id.Text);
        if (!Directory.Exists(path))
        {
            return;
        }

        foreach (string result in Directory.EnumerateFiles(path, ResultPrefix + "*"))
        {
            File.Delete(result);
        }

        if (!Directory.EnumerateFileSystemEntries(path).Any())
        {
            Directory.Delete(path);
        }
    }

    /// <summary>Runs that have files here, those with names that are no run ids left out.</summary>
    public IEnumerable<RunId> List() => Directory.EnumerateDirectories(folder)
        .Select(path => RunId.TryParse(Path.GetFileName(path), out RunId id) ? id : default)
        .Where(id => !id.IsEmpty);

    private static string ResultName(int generation) => $"{ResultPrefix}{generation}";

    // Delete is shared so that retention can delete a file that somebody is still reading.
    private FileStream Open(RunId id, string name) => new(
        Path.Combine(folder, id.Text, name), new FileStreamOptions
        {
            Mode = FileMode.Open,
            Access = FileAccess.Read,
            Share = FileShare.Read | FileShare.Delete,
            BufferSize = 0,
            Options = FileOptions.Asynchronous | FileOptions.SequentialScan,
        });
}
