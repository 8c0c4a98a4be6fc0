using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Secrets;
using Berth.Server.Store;

namespace Berth.Server.Secrets;

/// <summary>
/// All secrets of the server: sealed in the store and in memory, opened for a program that starts and for a signature
/// that is checked. Nothing else gets a value out of it, and no route does.
/// </summary>
internal sealed class SecretVault(ISecretStore store, SecretKeys keys, TimeProvider time)
{
    /// <summary>All are held in memory, sealed.</summary>
    public const int MaxSecrets = 1_000;

    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    private readonly ConcurrentDictionary<string, SecretRecord> records = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);

    /// <summary>By name.</summary>
    public IReadOnlyList<SecretRecord> All => [.. records.Values.OrderBy(r => r.Name, StringComparer.Ordinal)];

    /// <summary>Reads them; what an older key sealed is sealed with the newest one.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (SecretRecord record in await store.AllSecretsAsync(cancellationToken))
        {
            records[record.Name] = record;
            if (record.Key != keys.Newest && keys.Has(record.Key))
            {
                byte[] value = Open(record);
                await KeepAsync(Sealed(record, value), cancellationToken);
                CryptographicOperations.ZeroMemory(value);
            }
        }
    }

    /// <summary>Takes in what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await ReadAgainAsync(cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    public bool Has(string name) => records.ContainsKey(name);

    /// <summary>Null where there is none.</summary>
    public SecretRecord? Find(string name) => records.GetValueOrDefault(name);

    /// <exception cref="BerthException">NotFound.</exception>
    public SecretRecord Get(string name) => records.TryGetValue(name, out SecretRecord? record)
        ? record
        : throw new BerthException(
            ErrorCode.NotFound, $"There is no secret '{Quoted.Of(name)}': 'berth secret ls' lists them.");

    /// <summary>Keeps a value. Throws <c>Conflict</c> where the name has one and it is not to be replaced.</summary>
    /// <returns>Whether the name is new.</returns>
    public async Task<(SecretRecord Record, bool IsNew)> PutAsync(
        string name, ReadOnlyMemory<byte> value, bool replace, string caller, CancellationToken cancellationToken)
    {
        SecretName.Check(name);
        await changing.WaitAsync(cancellationToken);
        try
        {
            return await StaleRecordsException.RetryAsync(
                () => PutOnceAsync(name, value, replace, caller, cancellationToken), ReadAgainAsync,
                cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    /// <param name="users">What uses it; asked once nothing else changes.</param>
    /// <param name="force">Also where something does.</param>
    /// <exception cref="BerthException">NotFound; Conflict, where something uses it.</exception>
    public async Task RemoveAsync(
        string name, Func<IReadOnlyList<string>> users, bool force, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await StaleRecordsException.RetryAsync(
                () => RemoveOnceAsync(name, users, force, cancellationToken), ReadAgainAsync, cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>What a program that starts now gets.</summary>
    /// <exception cref="BerthException">NotFound, InvalidRequest: what keeps the program from starting; also as
    /// <see cref="SecretKeys.Open"/>.</exception>
    public SecretValues Resolve(IReadOnlyList<SecretUse> uses)
    {
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        List<SandboxFile> files = [];
        int together = 0;
        foreach (SecretUse use in uses)
        {
            byte[] value = Open(use.Secret);
            together += value.Length;
            if (together > SecretUse.MaxBytesTogether)
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    "The secrets of the function have more than "
                    + string.Create(CultureInfo.InvariantCulture, $"{SecretUse.MaxBytesTogether / 1024} KiB ")
                    + "together, which is the most: deploy it with fewer or smaller ones.");
            }

            if (use.Variable is { } variable)
            {
                variables[variable] = TextOf(use, value);
            }
            else
            {
                files.Add(new SandboxFile(use.File!, value));
            }
        }

        return new SecretValues(variables, files);
    }

    /// <summary>The value of one. The array is the caller's own.</summary>
    /// <exception cref="BerthException">NotFound; as <see cref="SecretKeys.Open"/>.</exception>
    public byte[] Open(string name) => records.TryGetValue(name, out SecretRecord? record)
        ? Open(record)
        : throw new BerthException(
            ErrorCode.NotFound,
            $"The secret '{name}' is gone: make it again with 'berth secret create {name}'.");

    private static string TextOf(SecretUse use, byte[] value)
    {
        try
        {
            string text = Strict.GetString(value);
            return text.Contains('\0', StringComparison.Ordinal) ? throw NotAText(use) : text;
        }
        catch (DecoderFallbackException)
        {
            // Its message would tell bytes of the value.
            throw NotAText(use);
        }
    }

    private static BerthException NotAText(SecretUse use) => new(
        ErrorCode.InvalidRequest,
        $"The secret '{use.Secret}' can't be the variable {use.Variable}: it is no text in UTF-8 without NUL. Let the "
        + "function have it as a file.");

    private byte[] Open(SecretRecord record) => keys.Open(record.Name, record.Version, record.Key, record.Sealed);

    private SecretRecord Sealed(SecretRecord record, ReadOnlySpan<byte> value) =>
        record with { Key = keys.Newest, Sealed = keys.Seal(record.Name, record.Version, value) };

    private async Task<(SecretRecord Record, bool IsNew)> PutOnceAsync(
        string name, ReadOnlyMemory<byte> value, bool replace, string caller, CancellationToken cancellationToken)
    {
        SecretRecord? old = records.GetValueOrDefault(name);
        if (old is not null && !replace)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"There is a secret '{name}' already: 'berth secret create --replace' gives it another value.");
        }

        if (old is null && records.Count >= MaxSecrets)
        {
            throw new BerthException(
                ErrorCode.QuotaExceeded, $"There are {MaxSecrets:N0} secrets, and no more can be: remove some.");
        }

        DateTimeOffset now = time.GetUtcNow();
        SecretRecord record = Sealed(
            new SecretRecord(
                name, (old?.Version ?? 0) + 1, keys.Newest, [], value.Length, old?.CreatedAt ?? now, now, caller),
            value.Span);
        await KeepAsync(record, cancellationToken);
        return (record, old is null);
    }

    private async Task<bool> RemoveOnceAsync(
        string name, Func<IReadOnlyList<string>> users, bool force, CancellationToken cancellationToken)
    {
        Get(name);
        if (!force && users() is [_, ..] named)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"The secret '{name}' is used by {string.Join(", ", named.Take(5))}"
                + $"{(named.Count > 5 ? " and others" : "")}: deploy them without it, or use --force, after which "
                + "their programs do not start.");
        }

        await store.DeleteSecretAsync(name, cancellationToken);
        return records.TryRemove(name, out _);
    }

    private async Task ReadAgainAsync(CancellationToken cancellationToken)
    {
        HashSet<string> stored = new(StringComparer.Ordinal);
        foreach (SecretRecord record in await store.AllSecretsAsync(cancellationToken))
        {
            stored.Add(record.Name);
            records[record.Name] = record;
        }

        foreach (string gone in records.Keys.Where(name => !stored.Contains(name)))
        {
            records.TryRemove(gone, out _);
        }
    }

    private async Task KeepAsync(SecretRecord record, CancellationToken cancellationToken)
    {
        await store.PutAsync(record, cancellationToken);
        records[record.Name] = record;
    }
}
