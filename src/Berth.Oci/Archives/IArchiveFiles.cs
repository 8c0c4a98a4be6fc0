namespace Berth.Oci.Archives;

/// <summary>The files of an image archive by name, whether it is a tar file or a folder.</summary>
internal interface IArchiveFiles : IDisposable
{
    /// <summary>Opens a file by its path in the archive, with slashes; null when there is none.</summary>
    Stream? Open(string name);
}

/// <summary>An archive laid out in a folder.</summary>
internal sealed class FolderArchiveFiles(string folder) : IArchiveFiles
{
    public Stream? Open(string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path)
            ? new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, useAsync: false) : null;
    }

    public void Dispose()
    {
    }
}
