using Berth.Core.Errors;
using Berth.Registry.Access;
using Berth.Server.Callbacks;
using Berth.Server.Cluster;
using Berth.Server.Configuration;
using Berth.Server.Nodes;
using Berth.Server.Secrets;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Server.Store.Sqlite;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Hosting;

/// <summary>How a server comes to its store: the file in its data folder, or the database that it may share with
/// others.</summary>
internal static class StoreOpening
{
    /// <summary>With the keys in the data folder as all servers of the store have them.</summary>
    public static async Task<IServerStore> OpenAsync(
        ServerOptions options, DataFolder data, TimeProvider time, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        IServerStore store = await OpenStoreAsync(options, data, time, loggers, cancellationToken);
        try
        {
            await ShareKeysAsync(store, data, time, loggers, cancellationToken);
            return store;
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }
    }

    /// <summary>Before anything reads them: the keys in the data folder are those of all servers of the
    /// store.</summary>
    private static async Task ShareKeysAsync(
        IServerStore store, DataFolder data, TimeProvider time, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        if (store is not IClusterStore shared)
        {
            return;
        }

        string file = data["secrets.key"];
        ClusterKeys keys = new(
            shared, SecretKeys.LoadOrCreate(file), file, loggers.CreateLogger<ClusterKeys>());
        await keys.ShareAsync(
            data["node-authority.pem"], path => NodeAuthority.LoadOrCreate(path, time).Dispose(), cancellationToken);
        await keys.ShareAsync(
            data["callback.key"], path => CallbackSigner.LoadOrCreate(path), cancellationToken);
        await keys.ShareAsync(
            data["registry.key"], path => _ = new RegistryTokens(path, time), cancellationToken);
    }

    /// <summary>The data folder's own file, or the database that the operator named.</summary>
    private static async Task<IServerStore> OpenStoreAsync(
        ServerOptions options, DataFolder data, TimeProvider time, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        if (options.Store is not { } address)
        {
            return await SqliteRunStore.OpenAsync(
                data["berth.db"], SqliteRunStore.DefaultBallast, loggers.CreateLogger<SqliteRunStore>(),
                cancellationToken);
        }

        if (File.Exists(data["berth.db"]))
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {data.Path} has records of its own in berth.db, and the setting store names "
                + $"{address}: move them with 'berth store migrate', or serve without store.");
        }

        PostgresAddress whole = options.StorePasswordFile is { } file
            ? address.WithPasswordFile(file)
            : address;
        return await PostgresStore.OpenAsync(
            whole, ServerIdentity.LoadOrCreate(data["server.id"], time), time, loggers.CreateLogger<PostgresStore>(),
            cancellationToken);
    }
}
