using System.Globalization;
using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Packing;

namespace Berth.Commands.Images;

/// <summary>Folders made an image, one layer of each, and sent to the server's registry.</summary>
/// <param name="Base">Image to lay them on, of this server or with a registry's host; null for none.</param>
/// <param name="Prefix">Folder of the image to put the content into; empty for its root.</param>
internal sealed record FolderPacking(
    ImageReference Image, IReadOnlyList<string> Folders, string? Base, string Prefix, ContainerDefaults Overrides,
    bool KeepOwners, bool Quiet)
{
    /// <summary>Returns the image's digest.</summary>
    public async Task<Digest> RunAsync(Session session, CancellationToken cancellationToken)
    {
        using BerthRegistry registry = new(session);
        using ProgressLine line = new(session.Terminal, Quiet);
        RegistryRepository repository = registry.Repository(Image);
        using RegistryConnection? elsewhere = OpenElsewhere(session, out PackBase? at);
        if (at is null && Base is { } local)
        {
            ImageReference reference = BerthRegistry.Parse(local);
            at = new PackBase(registry.Repository(reference), reference.TagOrDigest);
        }

        List<PackedLayer> layers = [];
        try
        {
            foreach (string folder in Folders)
            {
                layers.Add(await PackFolderAsync(session, folder, line, cancellationToken));
            }

            CopyMeter meter = new(line, $"sending {Image.Repository}");
            ImagePacker packer = new(repository, new CopyOptions(Progress: meter.Take));
            return await packer.PackAsync(
                layers, at, Wanted(session, Folders[^1]), Image.TagToGive, cancellationToken);
        }
        finally
        {
            layers.ForEach(l => l.Dispose());
        }
    }

    private async Task<PackedLayer> PackFolderAsync(
        Session session, string folder, ProgressLine line, CancellationToken cancellationToken)
    {
        string name = Path.GetFileName(Path.GetFullPath(folder));
        PackedLayer layer = await PackedLayer.CreateAsync(
            Wanted(session, folder), Path.GetTempPath(), bytes => line.Show($"packing {name}", bytes, null),
            cancellationToken);
        line.Finish(
            $"{name}: {ByteSize.FromBytes(layer.Bytes)} in {layer.Entries} entries, "
            + $"{ByteSize.FromBytes(layer.Layer.Size)} packed");
        return layer;
    }

    private PackOptions Wanted(Session session, string folder) => new(
        folder, Prefix, Timestamp(session), KeepOwners, PlatformChoice.Here, Overrides);

    // https://reproducible-builds.org/specs/source-date-epoch/
    private static DateTimeOffset Timestamp(Session session) => session.Terminal.Variable("SOURCE_DATE_EPOCH") switch
    {
        null or "" => DateTimeOffset.UnixEpoch,
        { } text when long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) =>
            DateTimeOffset.FromUnixTimeSeconds(seconds),
        { } text =>
            throw new BerthException(
                ErrorCode.InvalidRequest, $"SOURCE_DATE_EPOCH: '{text}' is not a number of seconds."),
    };

    private RegistryConnection? OpenElsewhere(Session session, out PackBase? found)
    {
        found = null;
        if (Base is not { } text || ImageReference.Parse(text) is not { RegistryHost: not null } reference)
        {
            return null;
        }

        RegistryConnection connection = new(
            RegistryConnection.AddressOf(reference, insecure: false)!, null, session.Terminal.Time);
        found = new PackBase(connection.Repository(reference), reference.TagOrDigest);
        return connection;
    }
}
