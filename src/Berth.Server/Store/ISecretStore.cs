using Berth.Server.Secrets;

namespace Berth.Server.Store;

/// <summary>The durable record of secrets, sealed. One server writes it. Every write is durable when its task
/// completes; throws <c>StorageFull</c>, <c>StorageFault</c>.</summary>
internal interface ISecretStore
{
    /// <summary>Every secret, in no order.</summary>
    Task<IReadOnlyList<SecretRecord>> AllSecretsAsync(CancellationToken cancellationToken);

    /// <summary>Adds it, or replaces what has its name.</summary>
    Task PutAsync(SecretRecord secret, CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task DeleteSecretAsync(string name, CancellationToken cancellationToken);
}
