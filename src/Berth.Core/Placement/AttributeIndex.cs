namespace Berth.Core.Placement;

/// <summary>Which nodes have which value of which attribute, label, image, volume or network; kept as nodes change.
/// </summary>
internal sealed class AttributeIndex
{
    // No attribute or label is called so: a blank is in no word.
    public const string Image = "image ";
    public const string ComingImage = "coming image ";
    public const string Volume = "volume ";
    public const string HostFolder = "host folder ";
    public const string Network = "network ";
    public const string Revision = "revision ";

    private readonly Dictionary<string, Attribute> attributes = new(StringComparer.Ordinal);

    public NodeSet? Find(string key, string value) =>
        attributes.GetValueOrDefault(key)?.Values.GetValueOrDefault(value);

    /// <summary>Nodes that have it with whatever value.</summary>
    public NodeSet? Find(string key) => attributes.GetValueOrDefault(key)?.All;

    public IReadOnlyDictionary<string, NodeSet>? Values(string key) => attributes.GetValueOrDefault(key)?.Values;

    public void Add(int slot, string key, string value)
    {
        if (!attributes.TryGetValue(key, out Attribute? attribute))
        {
            attributes.Add(key, attribute = new Attribute());
        }

        if (!attribute.Values.TryGetValue(value, out NodeSet? set))
        {
            attribute.Values.Add(value, set = new NodeSet());
        }

        set.Add(slot);
        attribute.All.Add(slot);
    }

    /// <summary>Of an attribute with several values all are removed before any is added again.</summary>
    public void Remove(int slot, string key, string value)
    {
        if (!attributes.TryGetValue(key, out Attribute? attribute)
            || !attribute.Values.TryGetValue(value, out NodeSet? set))
        {
            return;
        }

        set.Remove(slot);
        attribute.All.Remove(slot);
        if (set.Count == 0)
        {
            attribute.Values.Remove(value);
        }

        if (attribute.Values.Count == 0)
        {
            attributes.Remove(key);
        }
    }

    private sealed class Attribute
    {
        public Dictionary<string, NodeSet> Values { get; } = new(StringComparer.Ordinal);

        public NodeSet All { get; } = new();
    }
}
