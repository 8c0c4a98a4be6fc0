using Berth.Api.Access;
using Berth.Server.Access;

namespace Berth.Testing.Server;

/// <summary>Tokens of a server by itself, which waits for nothing but its disk.</summary>
public static class TokenMaking
{
    public static TokenCreated Create(
        this TokenStore tokens, string name, Role role, TimeSpan? lifetime,
        IReadOnlyList<string>? repositories = null) =>
        tokens.CreateAsync(name, role, lifetime, repositories, CancellationToken.None).GetAwaiter().GetResult();

    public static void Revoke(this TokenStore tokens, string id) =>
        tokens.RevokeAsync(id, CancellationToken.None).GetAwaiter().GetResult();

    public static void Flush(this TokenStore tokens) =>
        tokens.FlushAsync(CancellationToken.None).GetAwaiter().GetResult();
}
