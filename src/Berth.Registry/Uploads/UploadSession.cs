using Berth.Oci.Content;

namespace Berth.Registry.Uploads;

/// <summary>
/// A blob on its way in. Its file keeps what arrived over requests and server restarts; while the session is open here,
/// the hash of it is kept too. One request works on a session at a time.
/// </summary>
internal sealed class UploadSession(string id, string repository, string path)
{
    private int busy;

    public string Id { get; } = id;

    public string Repository { get; } = repository;

    public string FilePath { get; } = path;

    /// <summary>Null until the file is opened here and after it was given up.</summary>
    public BlobFile? Writer { get; set; }

    /// <summary>Time stamp of the begin or end of the last request.</summary>
    public long LastUsed { get; set; }

    public long Length => Writer?.Length ?? 0;

    public bool TryEnter() => Interlocked.CompareExchange(ref busy, 1, 0) == 0;

    public void Leave() => Interlocked.Exchange(ref busy, 0);
}
