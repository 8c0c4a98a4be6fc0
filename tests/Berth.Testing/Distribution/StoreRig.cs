using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Packing;
using Berth.Oci.Repositories;
using Berth.Oci.Unix;

namespace Berth.Testing.Distribution;

/// <summary>A local store with everything that images pass through, and a way to make small images.</summary>
public sealed class StoreRig : IAsyncDisposable
{
    private readonly List<StoreRepository> open = [];

    public StoreRig()
    {
        Content = new ContentStore(Path.Combine(Folder, "blobs"), TimeProvider.System);
        Repositories = new RepositoryStore(Path.Combine(Folder, "repositories"), TimeProvider.System);
        Layers = new LayerStore(Content, Path.Combine(Folder, "layers"), LayerLimits.Default, TimeProvider.System);
        Images = new ImageSource(Content, Layers, PlatformChoice.Here);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("berth-store-").FullName;

    public ContentStore Content { get; }

    public RepositoryStore Repositories { get; }

    public LayerStore Layers { get; }

    public ImageSource Images { get; }

    public StoreRepository Repository(string name)
    {
        var repository = new StoreRepository(Content, Repositories, name);
        open.Add(repository);
        return repository;
    }

    /// <summary>Makes a folder with files of the given names and contents, in that order.</summary>
    public string MakeFolder(string name, params (string Path, string Content)[] files)
    {
        string folder = Path.Combine(Folder, name);
        foreach ((string path, string content) in files)
        {
            string full = Path.Combine(folder, path);
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            File.WriteAllText(full, content);
        }

        return folder;
    }

    public PackOptions MakeOptions(string name, params (string Path, string Content)[] files) =>
        Options(MakeFolder(name, files));

    public static PackOptions Options(string folder, ContainerDefaults? overrides = null) => new(
        folder, "", DateTimeOffset.UnixEpoch, KeepOwners: false, PlatformChoice.Here,
        overrides ?? new ContainerDefaults(Entrypoint: ["/run"]));

    /// <summary>Packs a folder into a repository of this store.</summary>
    public async Task<Digest> PackAsync(
        string repository, string tag, PackOptions options, CancellationToken cancellationToken, PackBase? below = null)
    {
        using PackedLayer layer = await PackedLayer.CreateAsync(options, Folder, null, cancellationToken);
        return await new ImagePacker(Repository(repository), new CopyOptions())
            .PackAsync([layer], below, options, tag, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        open.ForEach(r => r.Dispose());
        await Layers.DisposeAsync();
        FolderRemoval.Remove(Folder);
    }
}
