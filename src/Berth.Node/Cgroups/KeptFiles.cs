using Berth.Node.Linux;

namespace Berth.Node.Cgroups;

/// <summary>Files of a group that serves one sandbox after the other: opened once, because finding a file takes several
/// times as long as reading it. Safe to use from several threads.</summary>
internal sealed class KeptFiles : IDisposable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, FileDescriptor> files = new(StringComparer.Ordinal);
    private bool disposed;

    /// <summary>As <see cref="CgroupFile.ReadNumber(string)"/>.</summary>
    public long ReadNumber(string path)
    {
        lock (gate)
        {
            return CgroupFile.ReadNumber(Open(path), path);
        }
    }

    /// <summary>As <see cref="CgroupFile.ReadKey(string, string)"/>.</summary>
    public long ReadKey(string path, string key)
    {
        lock (gate)
        {
            return CgroupFile.ReadKey(Open(path), path, key);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            disposed = true;
            foreach (FileDescriptor file in files.Values)
            {
                file.Dispose();
            }

            files.Clear();
        }
    }

    /// <summary>Held by the gate.</summary>
    private FileDescriptor Open(string path)
    {
        if (disposed)
        {
            throw new FileNotFoundException($"{path} went with its control group.", path);
        }

        if (!files.TryGetValue(path, out FileDescriptor? file))
        {
            file = FileSystems.OpenForReading(path);
            files.Add(path, file);
        }

        return file;
    }
}
