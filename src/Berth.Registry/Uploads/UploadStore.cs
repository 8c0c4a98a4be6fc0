using System.Collections.Concurrent;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Oci.Content;

namespace Berth.Registry.Uploads;

/// <summary>
/// Uploads in progress: <c>uploads/ID</c> holds the bytes, <c>uploads/ID.repository</c> the repository's name. Ids are
/// random and good only for their repository. A session survives a restart; one that nobody used for a day goes.
/// </summary>
internal sealed class UploadStore
{
    private const int IdBytes = 16;
    private const string RepositorySuffix = ".repository";

    // Each open session holds a file; the descriptor limit of the reference machine is 20,000.
    private const int MaxSessions = 1000;

    private static readonly TimeSpan ClosedAfter = TimeSpan.FromMinutes(10);

    /// <summary>When all sessions are taken, one that nobody used for this long gives way to a new one.</summary>
    private static readonly TimeSpan GivesWayAfter = TimeSpan.FromSeconds(30);

    private readonly string folder;
    private readonly ContentStore content;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<string, UploadSession> sessions = new();

    public UploadStore(string folder, ContentStore content, TimeProvider time)
    {
        this.folder = Path.GetFullPath(folder);
        this.content = content;
        this.time = time;
        DurableFile.CreateFolder(this.folder);
        RemoveTorn();
    }

    /// <summary>A day: long enough to resume tomorrow.</summary>
    public static TimeSpan ExpiresAfter { get; } = TimeSpan.FromHours(24);

    /// <summary>Between looks for sessions that are to be closed.</summary>
    public static TimeSpan ClosePeriod { get; } = TimeSpan.FromMinutes(1);

    /// <summary>Begins an upload; the caller has entered it. Throws <c>QueueFull</c> when too many are in progress.
    /// </summary>
    public async Task<UploadSession> StartAsync(string repository)
    {
        if (sessions.Count >= MaxSessions)
        {
            await MakeRoomAsync();
        }

        string id = RandomNumberGenerator.GetHexString(2 * IdBytes, lowercase: true);
        UploadSession session = new(id, repository, Path.Combine(folder, id)) { LastUsed = time.GetTimestamp() };
        session.TryEnter();
        try
        {
            File.WriteAllText(session.FilePath + RepositorySuffix, repository);
            CrashPoints.Reach(CrashPoint.UploadNamed);
            session.Writer = content.CreateAt(session.FilePath);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            RemoveFiles(id);
            throw DurableFile.Refusal(folder, e);
        }

        CrashPoints.Reach(CrashPoint.UploadOpened);
        sessions[id] = session;
        return session;
    }

    /// <summary>
    /// Enters a session of the repository, opening its file again if need be. Throws BerthException:
    /// <c>BlobUploadUnknown</c>, or <c>Conflict</c> while another request works on it.
    /// </summary>
    public async Task<UploadSession> EnterAsync(string id, string repository, CancellationToken cancellationToken)
    {
        while (true)
        {
            UploadSession? session = sessions.GetValueOrDefault(id) ?? Find(id);
            if (session is null || session.Repository != repository)
            {
                throw Unknown(id);
            }

            if (!session.TryEnter())
            {
                throw new BerthException(
                    ErrorCode.Conflict, $"Another request is writing to the upload {id}: wait for it to end.")
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                };
            }

            if (sessions.GetValueOrDefault(id) == session)
            {
                return await OpenAsync(session, cancellationToken);
            }

            // It was committed, cancelled or closed for its idleness meanwhile: the files tell which.
            session.Leave();
        }
    }

    /// <summary>Leaves a session so that the next request may go on with it.</summary>
    public async Task LeaveAsync(UploadSession session)
    {
        if (session.Writer is { } writer)
        {
            try
            {
                await writer.FlushAsync();
            }
            catch (BerthException)
            {
                // What could not be written is not counted: the file is hashed anew by the next request.
                await CloseAsync(session);
            }
        }

        File.SetLastWriteTimeUtc(session.FilePath, time.GetUtcNow().UtcDateTime);
        session.LastUsed = time.GetTimestamp();
        session.Leave();
    }

    /// <summary>Publishes the upload as a blob and ends the session.</summary>
    public async Task<Digest> CommitAsync(UploadSession session, Digest digest, CancellationToken cancellationToken)
    {
        Digest committed = await session.Writer!.CommitAsync(digest, cancellationToken);
        await EndAsync(session);
        return committed;
    }

    /// <summary>Ends a session and removes what it received.</summary>
    public async Task EndAsync(UploadSession session)
    {
        sessions.TryRemove(session.Id, out _);
        await CloseAsync(session);
        RemoveFiles(session.Id);
        session.Leave();
    }

    /// <summary>
    /// Removes uploads that nobody used for a day and that are not open. Returns how many were removed.
    /// </summary>
    public int Sweep(CancellationToken cancellationToken)
    {
        int removed = 0;
        DateTime expired = time.GetUtcNow().UtcDateTime - ExpiresAfter;
        foreach (FileInfo file in new DirectoryInfo(folder).EnumerateFiles())
        {
            cancellationToken.ThrowIfCancellationRequested();
            bool isBytes = !file.Name.EndsWith(RepositorySuffix, StringComparison.Ordinal);
            bool isOrphan = !isBytes && !File.Exists(file.FullName[..^RepositorySuffix.Length]);
            if ((isOrphan || (isBytes && !sessions.ContainsKey(file.Name))) && file.LastWriteTimeUtc < expired)
            {
                RemoveFiles(isBytes ? file.Name : Path.GetFileNameWithoutExtension(file.Name));
                removed++;
            }
        }

        return removed;
    }

    /// <summary>Closes the files of uploads that nobody used for minutes; they can be gone on with.</summary>
    public async Task CloseIdleAsync()
    {
        foreach (UploadSession idle in sessions.Values.Where(s => time.GetElapsedTime(s.LastUsed) > ClosedAfter))
        {
            await TryCloseAsync(idle);
        }
    }

    /// <summary>Closes all files; the uploads can be resumed by the next server.</summary>
    public async Task CloseAllAsync()
    {
        foreach (UploadSession session in sessions.Values.Where(s => s.TryEnter()))
        {
            await CloseAsync(session);
            session.Leave();
        }
    }

    private async Task<UploadSession> OpenAsync(UploadSession session, CancellationToken cancellationToken)
    {
        try
        {
            session.Writer ??= await content.ResumeAtAsync(session.FilePath, cancellationToken);
            session.LastUsed = time.GetTimestamp();
            return session;
        }
        catch (FileNotFoundException)
        {
            session.Leave();
            throw Unknown(session.Id);
        }
        catch
        {
            session.Leave();
            throw;
        }
    }

    private async Task MakeRoomAsync()
    {
        foreach (UploadSession idle in sessions.Values
            .Where(s => time.GetElapsedTime(s.LastUsed) >= GivesWayAfter).OrderBy(s => s.LastUsed))
        {
            if (await TryCloseAsync(idle))
            {
                return;
            }
        }

        throw new BerthException(
            ErrorCode.QueueFull, $"{MaxSessions} uploads are in progress: finish or cancel some, then try again.")
        {
            RetryAfter = GivesWayAfter,
        };
    }

    /// <summary>False while a request works on it.</summary>
    private async Task<bool> TryCloseAsync(UploadSession session)
    {
        if (!session.TryEnter())
        {
            return false;
        }

        sessions.TryRemove(KeyValuePair.Create(session.Id, session));
        await CloseAsync(session);
        session.Leave();
        return true;
    }

    private static BerthException Unknown(string id) => new(
        ErrorCode.BlobUploadUnknown, $"There is no upload {id} in this repository; it may have expired. Start again.");

    private static async Task CloseAsync(UploadSession session)
    {
        if (session.Writer is { } writer)
        {
            session.Writer = null;
            await writer.DisposeAsync();
        }
    }

    private UploadSession? Find(string id)
    {
        // Exactly what Start makes: an id never becomes another path.
        if (id.Length != 2 * IdBytes || id.AsSpan().ContainsAnyExcept("0123456789abcdef"))
        {
            return null;
        }

        string path = Path.Combine(folder, id);
        if (!File.Exists(path) || !File.Exists(path + RepositorySuffix))
        {
            return null;
        }

        string repository = File.ReadAllText(path + RepositorySuffix);
        return sessions.GetOrAdd(id, new UploadSession(id, repository, path) { LastUsed = time.GetTimestamp() });
    }

    /// <summary>
    /// A server killed at the first or last step of a session leaves a name without bytes, and a power cut a name that
    /// says nothing: nobody can go on with it.
    /// </summary>
    private void RemoveTorn()
    {
        foreach (FileInfo name in new DirectoryInfo(folder).EnumerateFiles("*" + RepositorySuffix))
        {
            if (name.Length == 0 || !File.Exists(name.FullName[..^RepositorySuffix.Length]))
            {
                RemoveFiles(Path.GetFileNameWithoutExtension(name.Name));
            }
        }
    }

    private void RemoveFiles(string id)
    {
        File.Delete(Path.Combine(folder, id));
        CrashPoints.Reach(CrashPoint.UploadBytesDeleted);
        File.Delete(Path.Combine(folder, id + RepositorySuffix));
    }
}
