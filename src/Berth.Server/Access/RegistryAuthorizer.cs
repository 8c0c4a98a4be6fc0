using Berth.Registry.Access;

namespace Berth.Server.Access;

/// <summary>Tells the registry who holds a token and what its role allows there.</summary>
internal sealed class RegistryAuthorizer(TokenStore tokens) : IRegistryAuthorizer
{
    public ValueTask<IRegistryCaller?> FindByTokenAsync(string token, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IRegistryCaller?>(tokens.Find(token) is { } caller ? new Holder(caller) : null);

    public ValueTask<IRegistryCaller?> FindByIdAsync(string id, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IRegistryCaller?>(tokens.FindById(id) is { } caller ? new Holder(caller) : null);

    private sealed class Holder(Caller caller) : IRegistryCaller
    {
        public string Id => caller.TokenId;

        public bool May(string repository, RegistryAction action) => caller.May(action switch
        {
            RegistryAction.Pull => Permission.ImageRead,
            RegistryAction.Overwrite => Permission.ImageOverwrite,
            RegistryAction.Delete => Permission.ImageDelete,
            _ => Permission.ImageWrite,
        });
    }
}
