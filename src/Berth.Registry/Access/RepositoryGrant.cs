using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Registry.Access;

/// <summary>What a robot's token may do: actions in the repositories that match a pattern, written
/// <c>team/*:pull,push</c>.</summary>
public sealed record RepositoryGrant(NamePattern Repositories, IReadOnlyList<RegistryAction> Actions)
{
    public static RepositoryGrant Parse(string text)
    {
        int colon = text.LastIndexOf(':');
        if (colon <= 0)
        {
            throw Refuse(text);
        }

        List<RegistryAction> actions = [];
        foreach (string word in text[(colon + 1)..].Split(','))
        {
            actions.Add(word switch
            {
                "pull" => RegistryAction.Pull,
                "push" => RegistryAction.Push,
                "overwrite" => RegistryAction.Overwrite,
                "delete" => RegistryAction.Delete,
                _ => throw Refuse(text),
            });
        }

        return new RepositoryGrant(NamePattern.Parse(text[..colon]), actions);
    }

    public bool Allows(string repository, RegistryAction action) =>
        Actions.Contains(action) && Repositories.Matches(repository);

    private static BerthException Refuse(string text) => new(
        ErrorCode.InvalidRequest,
        $"'{Quoted.Of(text)}' is not a right in repositories: write a pattern and actions, such as team/*:pull,push; "
        + "the actions are pull, push, overwrite and delete.");
}
