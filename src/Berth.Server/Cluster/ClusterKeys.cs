using Berth.Core.Errors;
using Berth.Oci.Content;
using Berth.Server.Secrets;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Cluster;

/// <summary>
/// Files with keys that all servers of one store must have alike. The first server puts each into the store, sealed
/// with <c>secrets.key</c>; the others take it from there. So <c>secrets.key</c> is the one file that is brought to a
/// new server by hand, and whoever reads the store alone has nothing.
/// </summary>
internal sealed class ClusterKeys(IClusterStore store, SecretKeys keys, string keysFile, ILogger logger)
{
    /// <summary>Changes with what is sealed; a part of what binds it.</summary>
    private const int Version = 1;

    /// <summary>Makes a file what all have.</summary>
    /// <param name="make">Makes it where there is none.</param>
    /// <exception cref="BerthException">InvalidConfiguration, where this server can't open what the others have.
    /// </exception>
    public async Task ShareAsync(string file, Action<string> make, CancellationToken cancellationToken)
    {
        bool isNew = !File.Exists(file);
        make(file);
        byte[] own = await File.ReadAllBytesAsync(file, cancellationToken);
        string name = "server key " + Path.GetFileName(file);
        SealedKey kept = await store.ShareKeyAsync(
            name, new SealedKey(keys.Newest, keys.Seal(name, Version, own)), cancellationToken);
        byte[] shared = Open(name, kept);
        if (kept.Key != keys.Newest)
        {
            // So that the line of the old key can go from secrets.key.
            await store.ResealKeyAsync(
                name, kept.Key, new SealedKey(keys.Newest, keys.Seal(name, Version, shared)), cancellationToken);
        }

        if (shared.AsSpan().SequenceEqual(own))
        {
            return;
        }

        if (!isNew)
        {
            Log.KeyReplaced(logger, file);
        }

        DurableFile.ReplacePrivate(file, shared);
    }

    private byte[] Open(string name, SealedKey kept)
    {
        try
        {
            return keys.Open(name, Version, kept.Key, kept.Sealed);
        }
        catch (BerthException error)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"{keysFile} is not the one of the servers that share the store: copy that file from one of them, with "
                + "mode 600, and start again.", error);
        }
    }
}
