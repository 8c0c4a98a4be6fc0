namespace Berth.Commands.Development;

/// <summary>Tells that files below a folder have changed, once they have been at rest for a moment: an editor that
/// writes several times, and a program that writes a hundred files, are one change.</summary>
internal sealed class ChangeWatch : IDisposable
{
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(200);

    /// <summary>What never stops changing is told all the same.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(5);

    private readonly Lock gate = new();
    private readonly FileSystemWatcher watcher;
    private readonly string folder;
    private readonly TimeProvider time;
    private TaskCompletionSource changed = New();
    private string? what;

    public ChangeWatch(string folder, TimeProvider time)
    {
        this.folder = folder;
        this.time = time;
        watcher = new FileSystemWatcher(folder) { IncludeSubdirectories = true };
        watcher.Changed += (_, e) => Note(e.FullPath);
        watcher.Created += (_, e) => Note(e.FullPath);
        watcher.Deleted += (_, e) => Note(e.FullPath);
        watcher.Renamed += (_, e) => Note(e.FullPath);
        // More happened than could be told one by one.
        watcher.Error += (_, _) => Note(folder);
        watcher.EnableRaisingEvents = true;
    }

    /// <summary>Returns, of what has changed since the last time, one file; waits for it.</summary>
    public async Task<string> NextAsync(CancellationToken cancellationToken)
    {
        await Current().WaitAsync(cancellationToken);
        long begun = time.GetTimestamp();
        while (time.GetElapsedTime(begun) < Longest)
        {
            Task more = Take();
            Task rest = Task.Delay(Rest, time, cancellationToken);
            if (await Task.WhenAny(more, rest) == rest)
            {
                await rest;
                break;
            }
        }

        lock (gate)
        {
            (string? path, what) = (what, null);
            return path is null || path == folder ? "The folder" : Path.GetRelativePath(folder, path);
        }
    }

    public void Dispose() => watcher.Dispose();

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private Task Current()
    {
        lock (gate)
        {
            return changed.Task;
        }
    }

    /// <summary>From here on it takes another change.</summary>
    private Task Take()
    {
        lock (gate)
        {
            changed = New();
            return changed.Task;
        }
    }

    private void Note(string path)
    {
        string relative = Path.GetRelativePath(folder, path);
        if (relative == ".git" || relative.StartsWith(".git/", StringComparison.Ordinal))
        {
            return;
        }

        lock (gate)
        {
            what ??= path;
            changed.TrySetResult();
        }
    }
}
