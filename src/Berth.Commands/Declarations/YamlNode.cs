namespace Berth.Commands.Declarations;

/// <summary>A value of a YAML or JSON document, and where it stands.</summary>
/// <param name="Size">Values in it, itself included, aliases counted as what they stand for.</param>
internal abstract record YamlNode(Mark At, long Size)
{
    /// <summary>For messages.</summary>
    public abstract string Kind { get; }
}

/// <param name="IsPlain">Written without quotes, so that it may be a number, a yes or nothing at all.</param>
internal sealed record YamlText(Mark At, string Value, bool IsPlain) : YamlNode(At, 1)
{
    public override string Kind => IsNothing ? "nothing" : "a single value";

    public bool IsNothing => IsPlain && Value is "" or "~" or "null" or "Null" or "NULL";
}

internal sealed record YamlList(Mark At, IReadOnlyList<YamlNode> Items, long Size) : YamlNode(At, Size)
{
    public override string Kind => "a list";
}

/// <param name="Members">In the file's order, each name once.</param>
internal sealed record YamlMap(
    Mark At, IReadOnlyList<(YamlText Name, YamlNode Value)> Members, long Size) : YamlNode(At, Size)
{
    public override string Kind => "a group of settings";

    public YamlNode? Find(string name) => Members.FirstOrDefault(m => m.Name.Value == name).Value;
}
