using System.Collections.Frozen;
using System.Text.Json;
using Berth.Api.Access;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Oci.Content;
using Berth.Registry.Access;

namespace Berth.Server.Access;

/// <summary>
/// The tokens, in the file <c>tokens.json</c> of the data folder (mode 0600), replaced as a whole at every change and
/// durable before a change is acknowledged. Looking one up reads memory only.
/// </summary>
public sealed class TokenStore
{
    private const int MaxTokens = 10_000;

    private readonly Lock gate = new();
    private readonly string path;
    private readonly TimeProvider time;
    private volatile FrozenDictionary<string, Entry> tokens;

    private TokenStore(string path, TimeProvider time, IEnumerable<AccessToken> tokens)
    {
        this.path = path;
        this.time = time;
        this.tokens = tokens.ToFrozenDictionary(t => t.Id, t => new Entry(t));
    }

    public bool IsEmpty => tokens.Count == 0;

    /// <summary>Reads the file; a missing one means no tokens yet.</summary>
    public static TokenStore Open(string dataFolder, TimeProvider time)
    {
        string path = Path.Combine(dataFolder, "tokens.json");
        if (!File.Exists(path))
        {
            return new TokenStore(path, time, []);
        }

        try
        {
            TokenFile file = JsonSerializer.Deserialize(File.ReadAllBytes(path), TokenFileJson.Default.TokenFile)
                ?? throw new JsonException("it is empty");
            return new TokenStore(path, time, file.Tokens);
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
    public TokenCreated Create(
        string name, Role role, TimeSpan? lifetime, IReadOnlyList<string>? repositories = null) =>
        Create(name, role, lifetime, repositories, static _ => { });

    /// <param name="publish">Gets the whole token before it becomes valid.</param>
    internal TokenCreated Create(
        string name, Role role, TimeSpan? lifetime, IReadOnlyList<string>? repositories, Action<string> publish)
    {
        if (name.Length is 0 or > 64 || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '_')))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{name}' is not a name for a token: use 1 to 64 letters, digits, '-', '.' and '_'.");
        }

        lock (gate)
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

            TokenText text = TokenText.New();
            DateTimeOffset now = time.GetUtcNow();
            AccessToken token = new(
                text.Id, name, Roles.NameOf(role), text.HashOfSecret(), now, now + lifetime, null, repositories);
            publish(text.ToString());
            Save([.. Current(), token]);
            CrashPoints.Reach(CrashPoint.TokenCreated);
            return new TokenCreated(View(token), text.ToString());
        }
    }

    public IReadOnlyList<TokenView> List() => [.. Current().OrderBy(t => t.CreatedAt).Select(View)];

    /// <summary>Ends a token at once. Throws <c>NotFound</c>, and <c>Conflict</c> for the last administrator.</summary>
    public void Revoke(string id)
    {
        lock (gate)
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

            AccessToken[] left = [.. Current().Where(t => t.Id != id)];
            // Whatever the disk does, nobody gets in with it from here on.
            tokens = Indexed(left);
            CrashPoints.Reach(CrashPoint.TokenRevoked);
            Save(left);
            CrashPoints.Reach(CrashPoint.RevocationStored);
        }
    }

    /// <summary>Writes down when tokens were last used; called when the server stops, which no disk may hold
    /// up.</summary>
    public void Flush()
    {
        lock (gate)
        {
            try
            {
                Save([.. Current()]);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or BerthException)
            {
                // Only the times of use are lost.
            }
        }
    }

    private static TokenView View(AccessToken token) => new(
        token.Id, token.Name, token.Role, token.CreatedAt, token.ExpiresAt, token.LastUsedAt,
        token.Repositories);

    private IEnumerable<AccessToken> Current() => tokens.Values.Select(e => e.Current);

    private void Save(IReadOnlyList<AccessToken> next)
    {
        byte[] content = JsonSerializer.SerializeToUtf8Bytes(new TokenFile(1, next), TokenFileJson.Default.TokenFile);
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
