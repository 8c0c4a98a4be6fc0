using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Node.Linux;
using Berth.Oci.Content;

namespace Berth.Node.RootFilesystems;

/// <summary>Where a node keeps what outlasts sandboxes: a file for each writable layer, a folder for each volume.
/// </summary>
/// <param name="folder">Null where it keeps nothing.</param>
internal sealed class NodeStorage(string? folder, ReadinessPoller poller) : INodeStorage
{
    private const string LayerEnding = ".ext4";

    /// <summary>A folder for each named volume.</summary>
    public string Volumes => Folder + "/volumes";

    private string Layers => Folder + "/containers";

    private string Folder => folder ?? throw new BerthException(
        ErrorCode.InvalidRequest, "This node has no storage for containers and volumes.");

    /// <summary>The file of a container's writable layer.</summary>
    public string LayerOf(string id) => $"{Layers}/{id}{LayerEnding}";

    public Task<IReadOnlyDictionary<string, ByteSize>> LayersAsync(CancellationToken cancellationToken) => Do(
        IReadOnlyDictionary<string, ByteSize> () => Directory.Exists(Layers)
            ? Directory.EnumerateFiles(Layers, "*" + LayerEnding).ToDictionary(
                file => Path.GetFileNameWithoutExtension(file),
                file => ByteSize.FromBytes(FileSystems.SpaceOf(file)), StringComparer.Ordinal)
            : new Dictionary<string, ByteSize>(), cancellationToken);

    // A sandbox that is still going away has the file open by its loop device, and with it the space until then.
    public Task RemoveLayerAsync(string layer, CancellationToken cancellationToken) => Do(
        () =>
        {
            if (Directory.Exists(Layers))
            {
                File.Delete(LayerOf(Checked(layer)));
                File.Delete(LayerOf(layer) + ".new");
            }

            return true;
        },
        cancellationToken);

    public async Task<bool> CopyLayerAsync(string layer, string target, CancellationToken cancellationToken)
    {
        LayerCopy copy = new(poller);
        string file = LayerOf(Checked(layer));
        try
        {
            return await Task.Run(() => copy.MakeAsync(file, target, cancellationToken), cancellationToken);
        }
        catch (IOException error)
        {
            throw Refused(target, error);
        }
    }

    public Task<IReadOnlyList<VolumeInfo>> VolumesAsync(CancellationToken cancellationToken) => Do(
        IReadOnlyList<VolumeInfo> () => Directory.Exists(Volumes)
            ? [
                .. new DirectoryInfo(Volumes).EnumerateDirectories()
                    .Where(entry => ContainerName.IsValid(entry.Name))
                    .Select(entry => new VolumeInfo(entry.Name, new DateTimeOffset(entry.CreationTimeUtc)))
                    .OrderBy(volume => volume.Name, StringComparer.Ordinal),
            ]
            : [], cancellationToken);

    public Task<bool> MakeVolumeAsync(string name, CancellationToken cancellationToken) => Do(
        () =>
        {
            string path = $"{Volumes}/{Checked(name)}";
            bool isNew = !Directory.Exists(path);
            Directory.CreateDirectory(path);
            return isNew;
        },
        cancellationToken);

    public Task RemoveVolumeAsync(string name, CancellationToken cancellationToken) => Do(
        () =>
        {
            string path = $"{Volumes}/{Checked(name)}";
            if (Directory.Exists(path))
            {
                // Out of sight first: killed in the middle of it, half a volume must not be taken for one.
                string doomed = $"{Folder}/.removed-{Path.GetRandomFileName()}";
                Directory.Move(path, doomed);
                Directory.Delete(doomed, recursive: true);
            }

            return true;
        },
        cancellationToken);

    public Task<VolumeListing> FilesAsync(
        string name, string prefix, int most, CancellationToken cancellationToken) => Do(
        () =>
        {
            string path = $"{Volumes}/{Checked(name)}";
            return Directory.Exists(path)
                ? new VolumeWalk(prefix, most, cancellationToken).Walk(path)
                : new VolumeListing([], true);
        },
        cancellationToken);

    public Task<ByteSize?> MeasureVolumeAsync(string name, CancellationToken cancellationToken) => Do(
        ByteSize? () =>
        {
            string path = $"{Volumes}/{Checked(name)}";
            return Directory.Exists(path) ? ByteSize.FromBytes(Measure(path, cancellationToken)) : null;
        },
        cancellationToken);

    /// <summary>Ends what a killed process had begun: to remove, or to copy.</summary>
    public void Sweep()
    {
        if (folder is null || !Directory.Exists(folder))
        {
            return;
        }

        foreach (string layer in Directory.Exists(Layers) ? Directory.EnumerateFiles(Layers, "*" + LayerEnding) : [])
        {
            try
            {
                LayerCopy.Thaw(layer);
            }
            catch (LinuxException)
            {
                // Its own container will meet the same.
            }
        }

        foreach (string doomed in Directory.EnumerateDirectories(folder, ".removed-*"))
        {
            Directory.Delete(doomed, recursive: true);
        }
    }

    private static long Measure(string path, CancellationToken cancellationToken)
    {
        // What a container's root wrote there: links are counted, never followed.
        EnumerationOptions all = new()
        {
            RecurseSubdirectories = true,
            AttributesToSkip = FileAttributes.None,
            IgnoreInaccessible = true,
        };
        long bytes = 0;
        foreach (string entry in Directory.EnumerateFileSystemEntries(path, "*", all))
        {
            cancellationToken.ThrowIfCancellationRequested();
            bytes += FileSystems.SpaceOf(entry);
        }

        return bytes;
    }

    /// <summary>What comes here was checked where it came in; a name that leads elsewhere must not be believed all the
    /// same.</summary>
    private static string Checked(string name) => ContainerName.IsValid(name)
        ? name
        : throw new BerthException(ErrorCode.InvalidRequest, $"'{name}' names no layer and no volume.");

    private Task<T> Do<T>(Func<T> work, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            try
            {
                return work();
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                throw Refused(Folder, error);
            }
        },
        cancellationToken);

    private static BerthException Refused(string path, Exception error) =>
        error is IOException disk && DurableFile.IsOfTheDisk(disk)
            ? DurableFile.Refusal(path, disk)
            : NodeFault(error);

    private static BerthException NodeFault(Exception error) => new(
        ErrorCode.NodeFault, $"The node's storage can't be used: {error.Message}", error);
}
