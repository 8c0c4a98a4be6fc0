using Berth.Core.Images;

namespace Berth.Registry.Access;

/// <summary>
/// A scope of the token protocol, <c>repository:demo/app:pull,push</c> or <c>registry:catalog:*</c> (distribution
/// project, "Token Scope Documentation").
/// </summary>
internal sealed record RegistryScope(string Type, string Name, IReadOnlyList<string> Actions)
{
    private const int MaxScopes = 32;

    private static readonly (string Word, RegistryAction Action)[] Known =
    [
        ("pull", RegistryAction.Pull), ("push", RegistryAction.Push), ("delete", RegistryAction.Delete),
    ];

    public static RegistryScope Catalog { get; } = new("registry", "catalog", ["*"]);

    public static RegistryScope For(string repository, RegistryAction action) => new(
        "repository", repository, action switch
        {
            RegistryAction.Pull => ["pull"],
            RegistryAction.Delete => ["delete"],
            _ => ["pull", "push"],
        });

    /// <summary>Reads scopes as sent, several in one value or in several; what is not understood is left out,
    /// as the protocol asks.</summary>
    public static IReadOnlyList<RegistryScope> Parse(IEnumerable<string?> values) =>
        [.. values.OfType<string>()
            .SelectMany(v => v.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Take(MaxScopes)
            .Select(ParseOne)
            .OfType<RegistryScope>()];

    /// <summary>Reduces the scope to what the caller may do; null when nothing is left.</summary>
    public RegistryScope? GrantTo(IRegistryCaller caller)
    {
        if (Type == "registry")
        {
            return Name == "catalog" && Actions.Contains("*") ? Catalog : null;
        }

        // In words of our own: what a token holds is never longer for what was asked.
        string[] granted = [.. Known.Where(k => Asks(k.Word) && caller.May(Name, k.Action)).Select(k => k.Word)];
        return granted.Length == 0 ? null : this with { Actions = granted };
    }

    public bool Allows(string repository, RegistryAction action) =>
        Type == "repository" && Name == repository && Actions.Contains(action switch
        {
            RegistryAction.Pull => "pull",
            RegistryAction.Delete => "delete",
            _ => "push",
        });

    public override string ToString() => $"{Type}:{Name}:{string.Join(',', Actions)}";

    private bool Asks(string word) => Actions.Contains(word) || Actions.Contains("*");

    private static RegistryScope? ParseOne(string text)
    {
        int first = text.IndexOf(':', StringComparison.Ordinal);
        int last = text.LastIndexOf(':');
        if (first <= 0 || last <= first)
        {
            return null;
        }

        string type = text[..first];
        string name = text[(first + 1)..last];
        string[] actions = text[(last + 1)..].Split(',', StringSplitOptions.RemoveEmptyEntries);
        bool known = type == "registry" || (type is "repository" && ImageReference.IsRepository(name));
        return known && actions.Length is > 0 and <= 8 ? new RegistryScope(type, name, actions) : null;
    }
}
