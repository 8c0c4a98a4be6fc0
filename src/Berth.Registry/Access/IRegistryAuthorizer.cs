namespace Berth.Registry.Access;

/// <summary>What may be done to a repository. Overwriting a tag with another image is a right of its own.</summary>
public enum RegistryAction
{
    Pull,
    Push,
    Overwrite,
    Delete,
}

/// <summary>Somebody who presented a valid token.</summary>
public interface IRegistryCaller
{
    /// <summary>Stable name of the token (its public part), not a secret.</summary>
    string Id { get; }

    bool May(string repository, RegistryAction action);
}

/// <summary>
/// Who may do what in the registry; the server implements it. The registry itself reads the headers and issues
/// its own short-lived tokens.
/// </summary>
public interface IRegistryAuthorizer
{
    /// <summary>Who comes without a token, where anything may be pulled so; its id is found as any other. Null where
    /// nothing may.</summary>
    IRegistryCaller? Anonymous { get; }

    /// <summary>The caller who holds a Berth token, or null when it is not valid (any more).</summary>
    ValueTask<IRegistryCaller?> FindByTokenAsync(string token, CancellationToken cancellationToken);

    /// <summary>The caller of a token that the registry issued for <see cref="IRegistryCaller.Id"/>, or null when that
    /// Berth token was revoked since.</summary>
    ValueTask<IRegistryCaller?> FindByIdAsync(string id, CancellationToken cancellationToken);
}
