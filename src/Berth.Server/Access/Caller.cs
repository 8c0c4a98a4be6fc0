using Berth.Registry.Access;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Access;

/// <summary>Whom a valid token belongs to.</summary>
/// <param name="Grants">Of a robot, what it may do where; null for the other roles.</param>
public sealed record Caller(string TokenId, string Name, Role Role, IReadOnlyList<RepositoryGrant>? Grants = null)
{
    public bool May(Permission permission) => Roles.May(Role, permission);

    /// <summary>
    /// The caller that <see cref="AccessGate"/> let through. Never missing behind a route that needs a token.
    /// </summary>
    public static Caller Of(HttpContext context) =>
        context.Features.Get<Caller>()
        ?? throw new InvalidOperationException("A route read its caller without needing one.");

    internal void AttachTo(HttpContext context) => context.Features.Set(this);
}
