using System.Collections.Frozen;
using System.Text.Json;
using Berth.Api.Access;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Oci.Content;
using Berth.Registry.Access;
using Berth.Server.Cluster;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Access;

/// <summary>
/// The tokens, in the file <c>tokens.json</c> of the data folder (mode 0600) or, where several servers share a store,
/// in that: replaced as a whole at every change and durable before a change is acknowledged. Looking one up reads
/// memory only.
/// </summary>
public sealed class TokenStore : IDisposable
{
    /// <summary>Topic of the document in a shared store.</summary>
    internal const string Topic = "tokens";

    private const string FileName = "tokens.json";

    private const int MaxTokens = 10_000;

    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly string path;
    private readonly IClusterStore? shared;
    private readonly TimeProvider time;
    private volatile FrozenDictionary<string, Entry> tokens;

    private TokenStore(string path, IClusterStore? shared, TimeProvider time, IEnumerable<AccessToken> tokens)
    {
        this.path = path;
        this.shared = shared;
        this.time = time;
        this.tokens = tokens.ToFrozenDictionary(t => t.Id, t => new Entry(t));
    }

    public bool IsEmpty => tokens.Count == 0;

    /// <summary>Reads the file; a missing one means no tokens yet.</summary>
    public static TokenStore Open(string dataFolder, TimeProvider time)
    {
        string path = Path.Combine(dataFolder, FileName);
        return new TokenStore(path, null, time, ReadFile(path));
    }

    /// <summary>Reads the tokens that all servers of a store have. The first server gives them its own.</summary>
    internal static async Task<TokenStore> OpenAsync(
        string dataFolder, IClusterStore shared, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        string path = Path.Combine(dataFolder, FileName);
        TokenStore store = new(path, shared, time, []);
        await StaleRecordsException.RetryAsync(
            async () =>
            {
                if (!await store.ReadAsync(cancellationToken) && ReadFile(path) is { Count: > 0 } own)
                {
                    await store.SaveAsync(own, cancellationToken);
                }

                return true;
            },
            static _ => Task.CompletedTask, cancellationToken);
        if (File.Exists(path))
        {
            // What a server without the store would begin with is not true any more.
            File.Move(path, path + ".migrated", overwrite: true);
            Log.TokensShared(logger, path, path + ".migrated");
        }

        return store;
    }

    private static IReadOnlyList<AccessToken> ReadFile(string path)
    {
        if (!File.Exists(path))
        {
            return [];
        }

        try
        {
            TokenFile file = JsonSerializer.Deserialize(File.ReadAllBytes(path), TokenFileJson.Default.TokenFile)
                ?? throw new JsonException("it is empty");
            return file.Tokens;
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The file of tokens {path} can't be read ({e.Message}). Restore it, or delete it together with "
                + "admin.token to start with a new administrator token.", e);
        }
    }

    /// <summary>
    /// The holder of a token; null when it is malformed, unknown, expired or wrong, which all look alike.
    /// </summary>
    public Caller? Find(ReadOnlySpan<char> text)
    {
        if (!TokenText.TryParse(text, out TokenText presented) || !tokens.TryGetValue(presented.Id, out Entry? entry))
        {
            return null;
        }

        DateTimeOffset now = time.GetUtcNow();
        AccessToken token = entry.Token;
        if (!presented.Matches(token.Hash) || token.ExpiresAt <= now)
        {
            return null;
        }

        entry.Touch(now);
        return entry.Holder;
    }

    /// <summary>Whether a caller that <see cref="Find"/> gave would be found again.</summary>
    internal bool Has(Caller caller)
    {
        DateTimeOffset now = time.GetUtcNow();
        if (!tokens.TryGetValue(caller.TokenId, out Entry? entry) || !ReferenceEquals(entry.Holder, caller)
            || entry.Token.ExpiresAt <= now)
        {
            return false;
        }

        entry.Touch(now);
        return true;
    }

    /// <summary>The holder of the token with this public part; null when there is none, or none any more.</summary>
    public Caller? FindById(string id) =>
        tokens.TryGetValue(id, out Entry? entry) && !(entry.Token.ExpiresAt <= time.GetUtcNow())
            ? entry.Holder
            : null;

    /// <summary>Makes a token; its secret is returned this once and kept nowhere.</summary>
    /// <param name="repositories">For a robot, what it may do where.</param>
    public Task<TokenCreated> CreateAsync(
        string name, Role role, TimeSpan? lifetime, IReadOnlyList<string>? repositories,
        CancellationToken cancellationToken) =>
        CreateAsync(name, role, lifetime, repositories, static _ => { }, cancellationToken);

    /// <param name="publish">Gets the whole token before it becomes valid.</param>
    internal Task<TokenCreated> CreateAsync(
        string name, Role role, TimeSpan? lifetime, IReadOnlyList<string>? repositories, Action<string> publish,
        CancellationToken cancellationToken)
    {
        if (name.Length is 0 or > 64 || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '_')))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{name}' is not a name for a token: use 1 to 64 letters, digits, '-', '.' and '_'.");
        }

        return ChangeAsync(
            async () =>
            {
                CheckNew(name);
                TokenText text = TokenText.New();
                DateTimeOffset now = time.GetUtcNow();
                AccessToken token = new(
                    text.Id, name, Roles.NameOf(role), text.HashOfSecret(), now, now + lifetime, null, repositories);
                publish(text.ToString());
                await SaveAsync([.. Current(), token], cancellationToken);
                CrashPoints.Reach(CrashPoint.TokenCreated);
                return new TokenCreated(View(token), text.ToString());
            },
            cancellationToken);
    }

    public IReadOnlyList<TokenView> List() => [.. Current().OrderBy(t => t.CreatedAt).Select(View)];

    /// <summary>Ends a token at once; at other servers of the store within a second. Throws <c>NotFound</c>, and
    /// <c>Conflict</c> for the last administrator.</summary>
    public Task RevokeAsync(string id, CancellationToken cancellationToken) => ChangeAsync(
        async () =>
        {
            AccessToken[] left = Without(id);
            // Whatever the disk does, nobody gets in with it from here on.
            tokens = Indexed(left);
            CrashPoints.Reach(CrashPoint.TokenRevoked);
            await SaveAsync(left, cancellationToken);
            CrashPoints.Reach(CrashPoint.RevocationStored);
            return true;
        },
        cancellationToken);

    /// <summary>Takes in what other servers have changed.</summary>
    internal async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            await ReadAsync(cancellationToken);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Writes down when tokens were last used; called when the server stops, which no disk may hold
    /// up.</summary>
    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        try
        {
            await ChangeAsync(
                async () =>
                {
                    await SaveAsync([.. Current()], cancellationToken);
                    return true;
                },
                cancellationToken);
        }
        catch (Exception e) when (
            e is IOException or UnauthorizedAccessException or BerthException or OperationCanceledException)
        {
            // Only the times of use are lost.
        }
    }

    public void Dispose() => writing.Dispose();

    /// <summary>Decides and writes, one at a time here, and anew after each change of another server's.</summary>
    private async Task<T> ChangeAsync<T>(Func<Task<T>> change, CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            return await StaleRecordsException.RetryAsync(change, ReadAsync, cancellationToken);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Reads the shared ones; false where there are none yet.</summary>
    private async Task<bool> ReadAsync(CancellationToken cancellationToken)
    {
        if (shared is null || await shared.ReadDocumentAsync(Topic, cancellationToken) is not { } document)
        {
            return false;
        }

        TokenFile read = JsonSerializer.Deserialize(document, TokenFileJson.Default.TokenFile)
            ?? throw new InvalidOperationException("The store holds no tokens where they should be.");
        FrozenDictionary<string, Entry> before = tokens;
        // When one was used is known to who saw it; the latest counts.
        tokens = Indexed([.. read.Tokens.Select(token =>
            before.GetValueOrDefault(token.Id)?.Current.LastUsedAt is { } used && !(used < token.LastUsedAt)
                ? token with { LastUsedAt = used }
                : token)]);
        return true;
    }

    private void CheckNew(string name)
    {
        if (tokens.Values.Any(t => t.Token.Name == name))
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"There is a token named '{name}' already: choose another name or revoke it first.");
        }

        if (tokens.Count >= MaxTokens)
        {
            throw new BerthException(
                ErrorCode.Conflict, $"There are {MaxTokens} tokens already: revoke some first.");
        }
    }

    private AccessToken[] Without(string id)
    {
        if (!tokens.TryGetValue(id, out Entry? entry))
        {
            throw new BerthException(
                ErrorCode.NotFound, "There is no token with this id; `berth token ls` lists them.");
        }

        AccessToken token = entry.Token;
        string admin = Roles.NameOf(Role.Admin);
        if (token.Role == admin && !Current().Any(t => t.Role == admin && t.Id != id && t.ExpiresAt is null))
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"Token '{token.Name}' is the last administrator that does not expire: "
                + "make another one before revoking it.");
        }

        return [.. Current().Where(t => t.Id != id)];
    }

    private static TokenView View(AccessToken token) => new(
        token.Id, token.Name, token.Role, token.CreatedAt, token.ExpiresAt, token.LastUsedAt,
        token.Repositories);

    private IEnumerable<AccessToken> Current() => tokens.Values.Select(e => e.Current);

    private async Task SaveAsync(IReadOnlyList<AccessToken> next, CancellationToken cancellationToken)
    {
        byte[] content = JsonSerializer.SerializeToUtf8Bytes(new TokenFile(1, next), TokenFileJson.Default.TokenFile);
        if (shared is not null)
        {
            await shared.WriteDocumentAsync(Topic, content, cancellationToken);
            tokens = Indexed(next);
            return;
        }

        try
        {
            DurableFile.ReplacePrivate(path, content);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            BerthException refusal = DurableFile.Refusal(path, e);
            throw new BerthException(
                refusal.Code,
                $"{refusal.Message} The change of tokens is not written, and a restart would undo it: do it again.", e);
        }

        tokens = Indexed(next);
    }

    private static FrozenDictionary<string, Entry> Indexed(IReadOnlyList<AccessToken> all) =>
        all.ToFrozenDictionary(t => t.Id, t => new Entry(t));

    private sealed class Entry(AccessToken token)
    {
        private long lastUsed = token.LastUsedAt?.UtcTicks ?? 0;

        public AccessToken Token => token;

        /// <summary>Null where nobody knows the role.</summary>
        public Caller? Holder { get; } = Roles.TryParse(token.Role, out Role role)
            ? new Caller(
                token.Id, token.Name, role,
                role == Role.Robot ? [.. (token.Repositories ?? []).Select(RepositoryGrant.Parse)] : null)
            : null;

        public AccessToken Current => lastUsed == 0
            ? token
            : token with { LastUsedAt = new DateTimeOffset(Volatile.Read(ref lastUsed), TimeSpan.Zero) };

        // To the minute, so that cores that serve the same caller seldom write to the same line of memory.
        public void Touch(DateTimeOffset now)
        {
            if (now.UtcTicks - Volatile.Read(ref lastUsed) >= TimeSpan.TicksPerMinute)
            {
                Volatile.Write(ref lastUsed, now.UtcTicks);
            }
        }
    }
}
