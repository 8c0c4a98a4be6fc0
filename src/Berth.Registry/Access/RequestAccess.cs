using System.Text;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;

namespace Berth.Registry.Access;

/// <summary>
/// What the caller of one request may do. A registry token allows what both its scopes and its holder allow; a Berth
/// token presented directly, as Bearer or as Basic password, allows what its holder may do.
/// </summary>
internal sealed class RequestAccess
{
    private readonly IRegistryCaller caller;
    private readonly IReadOnlyList<RegistryScope>? scopes;
    private readonly bool anonymous;

    private RequestAccess(IRegistryCaller caller, IReadOnlyList<RegistryScope>? scopes, bool anonymous = false)
    {
        this.caller = caller;
        this.scopes = scopes;
        this.anonymous = anonymous;
    }

    /// <summary>Whether the request carried no credentials at all, so that better ones may be asked for.</summary>
    public bool IsBare => anonymous && scopes is null;

    /// <summary>The caller of a request, or null when it carries no valid credentials.</summary>
    public static async ValueTask<RequestAccess?> FindAsync(
        HttpRequest request, IRegistryAuthorizer authorizer, RegistryTokens tokens, CancellationToken cancellationToken)
    {
        string header = request.Headers.Authorization.ToString();
        if (header.Length == 0)
        {
            return authorizer.Anonymous is { } nobody ? new RequestAccess(nobody, null, anonymous: true) : null;
        }

        if (ReadBasic(header) is { } credentials)
        {
            return await authorizer.FindByTokenAsync(credentials.Password, cancellationToken) is { } direct
                ? new RequestAccess(direct, null)
                : null;
        }

        if (!header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        string token = header["Bearer ".Length..].Trim();
        if (!RegistryTokens.LooksLikeOne(token))
        {
            return await authorizer.FindByTokenAsync(token, cancellationToken) is { } direct
                ? new RequestAccess(direct, null)
                : null;
        }

        return tokens.Read(token) is { } claims
            && await authorizer.FindByIdAsync(claims.Subject, cancellationToken) is { } caller
                ? new RequestAccess(
                    caller, RegistryScope.Parse(claims.Scopes), caller.Id == authorizer.Anonymous?.Id)
                : null;
    }

    /// <summary>User name and password of a Basic header, or null.</summary>
    public static (string User, string Password)? ReadBasic(string header)
    {
        if (!header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        byte[] bytes = new byte[header.Length];
        if (!Convert.TryFromBase64String(header["Basic ".Length..].Trim(), bytes, out int count))
        {
            return null;
        }

        string text = Encoding.UTF8.GetString(bytes, 0, count);
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? null : (text[..colon], text[(colon + 1)..]);
    }

    public bool May(string repository, RegistryAction action) =>
        (scopes is null || scopes.Any(s => s.Allows(repository, action))) && caller.May(repository, action);

    /// <summary>Whether the catalog may list the repository. A token's scopes can't name every repository,
    /// so its holder decides.</summary>
    public bool MayList(string repository) => caller.May(repository, RegistryAction.Pull);

    /// <summary>Lets the request pass or says why not; what may not be pulled looks as if it were absent.</summary>
    public void Demand(string repository, RegistryAction action)
    {
        if (May(repository, action))
        {
            return;
        }

        // Another token helps only if its holder has the right; who has shown none may have one.
        if (anonymous || caller.May(repository, action))
        {
            throw new ChallengeException(
                RegistryScope.For(repository, action), IsBare ? null : "insufficient_scope");
        }

        throw action == RegistryAction.Pull || !caller.May(repository, RegistryAction.Pull)
            ? new BerthException(ErrorCode.NotFound, $"There is no repository {repository}.")
            : new BerthException(
                ErrorCode.Forbidden, $"This token may not {Name(action)} in {repository}{Remedy(action)}.");
    }

    public void DemandCatalog()
    {
        if (anonymous || (scopes is not null && !scopes.Any(s => s is { Type: "registry", Name: "catalog" })))
        {
            throw new ChallengeException(RegistryScope.Catalog, "insufficient_scope");
        }
    }

    private static string Remedy(RegistryAction action) => action == RegistryAction.Overwrite
        ? ": push under another tag, or with a token that may"
        : "";

    private static string Name(RegistryAction action) => action switch
    {
        RegistryAction.Push => "push",
        RegistryAction.Overwrite => "overwrite a tag",
        RegistryAction.Delete => "delete",
        _ => "pull",
    };
}

/// <summary>Ends a request with 401 and the scope to ask a token for.</summary>
internal sealed class ChallengeException(RegistryScope? scope, string? error) : Exception("Credentials are needed.")
{
    public RegistryScope? Scope { get; } = scope;

    public string? Error { get; } = error;
}
