using Berth.Api.Nodes;
using Berth.Node.Linux;

namespace Berth.Node.RootFilesystems;

/// <summary>Finds the files of a volume below a prefix. What is in one was written by programs: links are passed over,
/// and folders are held by descriptor from the moment they are found, so that none leads anywhere else.</summary>
internal sealed class VolumeWalk(string prefix, int most, CancellationToken cancellationToken)
{
    private const int MaxDepth = 32;
    private const int Folder = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC;

    private readonly List<VolumeFile> files = [];
    private bool isWhole = true;

    public VolumeListing Walk(string volume)
    {
        using FileDescriptor root = FileSystems.OpenFolder(volume);
        Walk(root, "", 0);
        return new VolumeListing(files, isWhole);
    }

    private void Walk(FileDescriptor folder, string path, int depth)
    {
        DirectoryInfo here = new($"/proc/self/fd/{folder.Number}/.");
        foreach (FileSystemInfo entry in here.EnumerateFileSystemInfos("*", new EnumerationOptions
        {
            AttributesToSkip = FileAttributes.ReparsePoint,
            IgnoreInaccessible = true,
        }))
        {
            cancellationToken.ThrowIfCancellationRequested();
            string name = path + entry.Name;
            if (!isWhole)
            {
                return;
            }

            if (entry is DirectoryInfo)
            {
                // Only what a path that begins so can be in.
                bool leads = (name + "/").StartsWith(prefix, StringComparison.Ordinal)
                    || prefix.StartsWith(name + "/", StringComparison.Ordinal);
                if (leads && depth < MaxDepth)
                {
                    Enter(folder, entry.Name, name, depth);
                }
            }
            else if (name.StartsWith(prefix, StringComparison.Ordinal))
            {
                Add(entry, name);
            }
        }
    }

    private void Enter(FileDescriptor folder, string entry, string name, int depth)
    {
        try
        {
            using FileDescriptor inner = FileSystems.OpenInside(folder, entry, Folder);
            Walk(inner, name + "/", depth + 1);
        }
        catch (Exception error) when (error is LinuxException or DirectoryNotFoundException)
        {
            // Gone, or a link by now.
            return;
        }
    }

    private void Add(FileSystemInfo entry, string name)
    {
        // Neither a fifo, a socket nor a device; none of them is what somebody uploads.
        if (entry is not FileInfo { Exists: true } file || (file.Attributes & FileAttributes.Device) != 0
            || name.Any(char.IsControl) || name.Contains('\ufffd', StringComparison.Ordinal))
        {
            return;
        }

        if (files.Count == most)
        {
            isWhole = false;
            return;
        }

        try
        {
            files.Add(new VolumeFile(name, file.Length, new DateTimeOffset(file.LastWriteTimeUtc)));
        }
        catch (FileNotFoundException)
        {
            // Gone by now.
            return;
        }
    }
}
