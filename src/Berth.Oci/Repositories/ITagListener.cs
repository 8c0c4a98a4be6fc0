using Berth.Core.Images;

namespace Berth.Oci.Repositories;

public enum TagAction
{
    /// <summary>The tag is new, or was moved to another manifest.</summary>
    Push,
    Delete,
}

/// <summary>A tag and what it names now, or named until now.</summary>
public sealed record TagChange(string Repository, string Tag, TagAction Action, ManifestLink Manifest);

/// <summary>Is told of each change of a tag before it is made, so that what it writes down is not lost.</summary>
public interface ITagListener
{
    /// <summary>Returns what to call when the change was not made after all.</summary>
    Action Announce(IReadOnlyList<TagChange> changes);
}
