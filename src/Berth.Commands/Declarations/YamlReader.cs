using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Berth.Commands.Declarations;

/// <summary>
/// Reads YAML, and JSON as the part of it that it is, into plain values. Built on the parser's events alone, without
/// reflection. Bounded: a file's length, how deep it nests, and how many values it has once aliases stand for what
/// they name, so that no small file becomes a large one. Tags are refused: nothing here has a type but what reads it.
/// </summary>
internal sealed class YamlReader
{
    public const int MaxLength = 1024 * 1024;
    public const int MaxDepth = 32;
    public const long MaxValues = 20_000;
    private const string Merge = "<<";

    private readonly string file;
    private readonly Parser parser;
    private readonly Dictionary<string, YamlNode?> anchors = new(StringComparer.Ordinal);
    private long values;

    private YamlReader(string file, string text)
    {
        this.file = file;
        parser = new Parser(new StringReader(text));
    }

    /// <summary>The documents of a file, without empty ones.</summary>
    /// <param name="file">Its name, for messages.</param>
    /// <exception cref="UnreadableException">It is no YAML, or too much of it.</exception>
    public static IReadOnlyList<YamlNode> Read(string file, string text)
    {
        if (text.Length > MaxLength)
        {
            throw new UnreadableException(new Complaint(
                new Mark(file, 1, 1), $"the file has {text.Length:N0} characters; at most {MaxLength:N0} are read."));
        }

        YamlReader reader = new(file, text);
        try
        {
            return reader.Documents();
        }
        catch (YamlException e)
        {
            string why = e.Message.TrimEnd('.');
            throw new UnreadableException(new Complaint(
                reader.MarkOf(e.Start), $"this is no YAML: {char.ToLowerInvariant(why[0])}{why[1..]}."));
        }
    }

    private List<YamlNode> Documents()
    {
        List<YamlNode> documents = [];
        while (Next())
        {
            if (parser.Current is DocumentStart)
            {
                anchors.Clear();
                Next();
                YamlNode document = Node(0);
                if (document is not YamlText { IsNothing: true })
                {
                    documents.Add(document);
                }
            }
        }

        return documents;
    }

    /// <summary>The parser's next event. Some texts that are no YAML end it with errors of its own making.</summary>
    private bool Next()
    {
        Mark at = parser.Current is { } now ? MarkOf(now.End) : new Mark(file, 1, 1);
        try
        {
            return parser.MoveNext();
        }
        catch (Exception e) when (
            e is InvalidOperationException or ArgumentException or IndexOutOfRangeException or NullReferenceException
                or KeyNotFoundException)
        {
            throw Refuse(at, "this is no YAML: what comes after this can't be read.");
        }
    }

    /// <summary>The value that begins at the current event; leaves its last event current.</summary>
    private YamlNode Node(int depth)
    {
        ParsingEvent now = parser.Current!;
        Mark at = MarkOf(now.Start);
        if (depth > MaxDepth)
        {
            throw Refuse(at, $"values stand more than {MaxDepth} deep in each other.");
        }

        if (now is AnchorAlias alias)
        {
            YamlNode named = anchors.TryGetValue(alias.Value.Value, out YamlNode? known)
                ? known ?? throw Refuse(at, $"'*{alias.Value.Value}' stands within what it names.")
                : throw Refuse(at, $"nothing is named '&{alias.Value.Value}' before this.");
            Count(at, named.Size);
            return named;
        }

        // The parser leaves some values out without a word, such as after a tab.
        if (now is not NodeEvent begun)
        {
            throw Refuse(at, "a value is missing here.");
        }

        if (!begun.Tag.IsEmpty && !begun.Tag.IsNonSpecific)
        {
            throw Refuse(at, $"the tag '{begun.Tag.Value}' can't be used: write the value alone.");
        }

        string? anchor = begun.Anchor.IsEmpty ? null : begun.Anchor.Value;
        if (anchor is not null)
        {
            anchors[anchor] = null;
        }

        Count(at, 1);
        YamlNode node = begun switch
        {
            Scalar scalar => new YamlText(at, scalar.Value, scalar.Style == ScalarStyle.Plain),
            SequenceStart => List(at, depth),
            _ => Map(at, depth),
        };
        if (anchor is not null)
        {
            anchors[anchor] = node;
        }

        return node;
    }

    private YamlList List(Mark at, int depth)
    {
        List<YamlNode> items = [];
        while (Next() && parser.Current is not SequenceEnd)
        {
            items.Add(Node(depth + 1));
        }

        return new YamlList(at, items, 1 + items.Sum(i => i.Size));
    }

    private YamlMap Map(Mark at, int depth)
    {
        List<(YamlText Name, YamlNode Value)> members = [];
        List<(YamlText Name, YamlNode Value)> merged = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        while (Next() && parser.Current is not MappingEnd)
        {
            if (Node(depth + 1) is not YamlText name)
            {
                throw Refuse(MarkOf(parser.Current!.Start), "the name of a setting is a single value.");
            }

            Next();
            YamlNode value = Node(depth + 1);
            if (name is { Value: Merge, IsPlain: true })
            {
                merged.AddRange(MergedBy(value));
            }
            else if (names.Add(name.Value))
            {
                members.Add((name, value));
            }
            else
            {
                throw Refuse(name.At, $"'{name.Value}' is given twice.");
            }
        }

        // What stands in the map itself wins, and of several maps that are merged the first.
        members.AddRange(merged.Where(m => names.Add(m.Name.Value)));
        return new YamlMap(at, members, 1 + members.Sum(m => 1 + m.Value.Size));
    }

    private static IEnumerable<(YamlText Name, YamlNode Value)> MergedBy(YamlNode value) => value switch
    {
        YamlMap map => map.Members,
        YamlList list when list.Items.All(i => i is YamlMap) => list.Items.SelectMany(i => ((YamlMap)i).Members),
        _ => throw Refuse(value.At, "'<<' takes a group of settings, or a list of such groups."),
    };

    private void Count(Mark at, long more)
    {
        values += more;
        if (values > MaxValues)
        {
            throw Refuse(
                at, $"there are more than {MaxValues:N0} values up to here, aliases counted as what they name.");
        }
    }

    private Mark MarkOf(YamlDotNet.Core.Mark mark) => new(file, mark.Line, mark.Column);

    private static UnreadableException Refuse(Mark at, string why) => new(new Complaint(at, why));
}
