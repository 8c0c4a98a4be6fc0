namespace Berth.Tests.Cgroups;

/// <summary>A folder that looks like a mounted control group file system. What the kernel would do on a write is not
/// imitated: tests look at what was written.</summary>
internal sealed class CgroupFolder : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("berth-cgroup-").FullName;

    public string Add(string path, params (string File, string Content)[] files)
    {
        string folder = Directory.CreateDirectory(Root + path).FullName;
        foreach ((string file, string content) in files)
        {
            File.WriteAllText($"{folder}/{file}", content);
        }

        return folder;
    }

    public string Read(string path) => File.ReadAllText(Root + path);

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
