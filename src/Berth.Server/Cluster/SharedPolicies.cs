using System.Buffers.Binary;
using Berth.Core.Errors;
using Berth.Registry.Policies;
using Berth.Server.Secrets;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Cluster;

/// <summary>
/// The policies of repositories that all servers of a store have: a document there, the number of its key and then what
/// that has sealed, since logins to other registries are in it. Not for concurrent use.
/// </summary>
internal sealed class SharedPolicies(IClusterStore store, SecretKeys keys, string keysFile) : IPolicyDocument
{
    public const string Topic = "policies";

    private const string Name = "repository policies";

    /// <summary>Changes with what is sealed; a part of what binds it.</summary>
    private const int Version = 1;

    private BerthException? unreadable;
    private bool isOfOldKey;

    /// <summary>Reads what all have. What this server had in a file is brought there once, but for scopes that have a
    /// policy.</summary>
    public static async Task<PolicyStore> OpenAsync(
        IClusterStore store, SecretKeys keys, string keysFile, string file, ILogger logger,
        CancellationToken cancellationToken)
    {
        SharedPolicies document = new(store, keys, keysFile);
        PolicyStore policies = await PolicyStore.OpenAsync(
            document, "The document of repository policies in the store", cancellationToken);
        if (File.Exists(file))
        {
            using PolicyStore own = await PolicyStore.OpenAsync(file, cancellationToken);
            int taken = await policies.AdoptAsync(own, cancellationToken);
            // What a server without the store would begin with is not true any more.
            File.Move(file, file + ".migrated", overwrite: true);
            int left = own.All().Count - taken;
            Log.PoliciesShared(logger, taken, file, left, file + ".migrated");
        }
        else if (document.isOfOldKey)
        {
            // So that the line of the old key can go from secrets.key.
            await policies.RewriteAsync(cancellationToken);
        }

        return policies;
    }

    public async Task<byte[]?> ReadAsync(CancellationToken cancellationToken)
    {
        byte[]? body = await store.ReadDocumentAsync(Topic, cancellationToken);
        try
        {
            byte[]? content = body is null ? null : Open(body);
            unreadable = null;
            return content;
        }
        catch (BerthException error)
        {
            unreadable = error;
            throw;
        }
    }

    public async Task<bool> TryWriteAsync(byte[] content, CancellationToken cancellationToken)
    {
        if (unreadable is not null)
        {
            // What others have said since would be lost.
            throw unreadable;
        }

        byte[] secret = keys.Seal(Name, Version, content);
        byte[] body = new byte[sizeof(int) + secret.Length];
        BinaryPrimitives.WriteInt32BigEndian(body, keys.Newest);
        secret.CopyTo(body, sizeof(int));
        try
        {
            await store.WriteDocumentAsync(Topic, body, cancellationToken);
            return true;
        }
        catch (StaleRecordsException)
        {
            return false;
        }
    }

    private byte[] Open(byte[] body)
    {
        int key = body.Length < sizeof(int) ? 0 : BinaryPrimitives.ReadInt32BigEndian(body);
        try
        {
            byte[] content = keys.Open(Name, Version, key, body.AsSpan(Math.Min(body.Length, sizeof(int))));
            isOfOldKey = key != keys.Newest;
            return content;
        }
        catch (BerthException error)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The repository policies in the store are sealed with key {key}, which {keysFile} does not "
                + "have, or has another one of: make that file the same at all servers, and start this one again.",
                error);
        }
    }
}
