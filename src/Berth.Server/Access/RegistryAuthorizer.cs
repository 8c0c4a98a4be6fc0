using Berth.Registry.Access;
using Berth.Registry.Policies;

namespace Berth.Server.Access;

/// <summary>Tells the registry who holds a token and what its role allows there.</summary>
internal sealed class RegistryAuthorizer(TokenStore tokens, PolicyStore policies) : IRegistryAuthorizer
{
    private readonly Nobody nobody = new(policies);

    public IRegistryCaller? Anonymous => policies.HasAnonymous ? nobody : null;

    public ValueTask<IRegistryCaller?> FindByTokenAsync(string token, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IRegistryCaller?>(tokens.Find(token) is { } caller ? new Holder(caller) : null);

    public ValueTask<IRegistryCaller?> FindByIdAsync(string id, CancellationToken cancellationToken) =>
        ValueTask.FromResult(
            id == nobody.Id ? Anonymous : tokens.FindById(id) is { } caller ? new Holder(caller) : null);

    /// <summary>Everybody: pulls what a policy opens.</summary>
    private sealed class Nobody(PolicyStore policies) : IRegistryCaller
    {
        // No token's id: those are hexadecimal.
        public string Id => "anonymous";

        public bool May(string repository, RegistryAction action) =>
            action == RegistryAction.Pull && policies.IsAnonymous(repository);
    }

    private sealed class Holder(Caller caller) : IRegistryCaller
    {
        public string Id => caller.TokenId;

        public bool May(string repository, RegistryAction action) => caller.Grants is { } grants
            ? grants.Any(g => g.Allows(repository, action))
            : caller.May(PermissionFor(action));

        private static Permission PermissionFor(RegistryAction action) => action switch
        {
            RegistryAction.Pull => Permission.ImageRead,
            RegistryAction.Overwrite => Permission.ImageOverwrite,
            RegistryAction.Delete => Permission.ImageDelete,
            _ => Permission.ImageWrite,
        };
    }
}
