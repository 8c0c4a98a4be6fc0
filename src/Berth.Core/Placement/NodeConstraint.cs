using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Core.Placement;

public enum ConstraintKind
{
    /// <summary>The node has the attribute with one of the values.</summary>
    In = 0,

    /// <summary>It has none of the values; not to have the attribute at all will do.</summary>
    NotIn = 1,

    /// <summary>It has the attribute, whatever its value.</summary>
    Exists = 2,

    /// <summary>It does not have it.</summary>
    Missing = 3,
}

/// <summary>
/// What a node must be like. Written <c>zone=eu</c>, <c>zone!=eu</c>, <c>gpu.model in (a100,h100)</c>, <c>zone notin
/// (eu)</c>, <c>ssd</c> (has it) or <c>!ssd</c> (has it not). The attribute is one of
/// <see cref="NodeAttributes"/> or a label that the node's owner gave it.
/// </summary>
public sealed class NodeConstraint : IEquatable<NodeConstraint>
{
    /// <summary>Of one workload; each costs a look at a set of nodes.</summary>
    public const int Most = 32;

    internal NodeConstraint(string key, ConstraintKind kind, IReadOnlyList<string> values)
    {
        Key = key;
        Kind = kind;
        Values = values;
        Text = kind switch
        {
            ConstraintKind.In when values.Count == 1 => $"{key}={values[0]}",
            ConstraintKind.NotIn when values.Count == 1 => $"{key}!={values[0]}",
            ConstraintKind.In => $"{key} in ({string.Join(',', values)})",
            ConstraintKind.NotIn => $"{key} notin ({string.Join(',', values)})",
            ConstraintKind.Exists => key,
            _ => "!" + key,
        };
    }

    private NodeConstraint(string key, IReadOnlyList<string> values, string text)
    {
        Key = key;
        Kind = ConstraintKind.In;
        Values = values;
        Text = text;
    }

    public string Key { get; }

    public ConstraintKind Kind { get; }

    /// <summary>Each once, in order; none where the kind asks for none.</summary>
    public IReadOnlyList<string> Values { get; }

    /// <summary>The one way in which it is written down.</summary>
    public string Text { get; }

    /// <summary>That a folder of the machine may be put into sandboxes there.</summary>
    /// <param name="path">Absolute, in its shortest writing.</param>
    public static NodeConstraint OfHostFolder(string path) =>
        new(AttributeIndex.HostFolder, [.. RunMount.Around(path)], $"host folder {path}");

    /// <exception cref="BerthException">InvalidRequest, with what was expected where.</exception>
    public static NodeConstraint Parse(string text) => ConstraintReader.Read(text);

    /// <summary>Whether a node with these values of the attribute is one.</summary>
    public bool IsMetBy(IReadOnlyCollection<string> values) => Kind switch
    {
        ConstraintKind.In => Values.Any(values.Contains),
        ConstraintKind.NotIn => !Values.Any(values.Contains),
        ConstraintKind.Exists => values.Count > 0,
        _ => values.Count == 0,
    };

    public bool Equals(NodeConstraint? other) => other is not null && Text == other.Text;

    public override bool Equals(object? obj) => Equals(obj as NodeConstraint);

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Text;
}

/// <summary>Attributes that every node has of itself. No label of the same name counts.</summary>
public static class NodeAttributes
{
    /// <summary>The node's name.</summary>
    public const string Node = "node";

    /// <summary>Its processor's architecture, for instance <c>amd64</c>.</summary>
    public const string Architecture = "arch";

    /// <summary>Instruction sets of its processor, for instance <c>avx2</c>; it has many values.</summary>
    public const string Feature = "cpu.feature";

    /// <summary>Models of its GPUs; it may have many values. Of a workload that asks for GPUs it is said of each of
    /// those it gets.</summary>
    public const string GpuModel = "gpu.model";

    public static bool Contains(string key) => key is Node or Architecture or Feature or GpuModel;
}
