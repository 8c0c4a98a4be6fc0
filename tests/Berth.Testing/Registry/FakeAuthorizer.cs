using System.Collections.Concurrent;
using Berth.Registry.Access;

namespace Berth.Testing.Registry;

/// <summary>Tokens and rights kept in memory. The token <see cref="Admin"/> may do everything.</summary>
public sealed class FakeAuthorizer : IRegistryAuthorizer
{
    public const string Admin = "berth_admin_secret";

    private readonly ConcurrentDictionary<string, Caller> callers = new();

    /// <summary>What may be pulled without a token; null means nothing.</summary>
    public Func<string, bool>? MayAnonymous { get; set; }

    public IRegistryCaller? Anonymous => MayAnonymous is { } may
        ? new Caller("anonymous", (repository, action) => action == RegistryAction.Pull && may(repository))
        : null;

    public FakeAuthorizer() => callers[Admin] = new Caller("admin", (_, _) => true);

    /// <summary>Makes a token that may do what <paramref name="may"/> says.</summary>
    public void Add(string token, Func<string, RegistryAction, bool> may) =>
        callers[token] = new Caller("id-of-" + token, may);

    public void Revoke(string token) => callers.TryRemove(token, out _);

    public ValueTask<IRegistryCaller?> FindByTokenAsync(string token, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IRegistryCaller?>(callers.GetValueOrDefault(token));

    public ValueTask<IRegistryCaller?> FindByIdAsync(string id, CancellationToken cancellationToken) =>
        ValueTask.FromResult(
            id == "anonymous" ? Anonymous : callers.Values.FirstOrDefault(c => c.Id == id));

    private sealed record Caller(string Id, Func<string, RegistryAction, bool> Rights) : IRegistryCaller
    {
        public bool May(string repository, RegistryAction action) => Rights(repository, action);
    }
}
