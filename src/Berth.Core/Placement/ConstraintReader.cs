using System.Buffers;
using Berth.Core.Errors;

namespace Berth.Core.Placement;

/// <summary>Reads one constraint. Every refusal says what was expected and after what.</summary>
internal ref struct ConstraintReader
{
    private const int MaxText = 1024;
    private const int MaxWord = 63;
    private const int MaxValues = 32;

    private static readonly SearchValues<char> WordCharacters =
        SearchValues.Create("-./_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    private readonly string text;
    private int at;

    private ConstraintReader(string text) => this.text = text;

    public static NodeConstraint Read(string text)
    {
        if (text.Length > MaxText)
        {
            throw Refuse(text, $"it has more than {MaxText} characters");
        }

        ConstraintReader reader = new(text);
        NodeConstraint constraint = reader.ReadWhole();
        reader.SkipBlanks();
        return reader.at == text.Length
            ? constraint
            : throw Refuse(
                text, $"after '{constraint.Text}' nothing is expected, but there is '{Quoted.Of(text[reader.at..])}'");
    }

    /// <summary>Of a key, a value, a taint.</summary>
    public static bool IsWord(string? word) =>
        word is { Length: >= 1 and <= MaxWord } && !word.AsSpan().ContainsAnyExcept(WordCharacters);

    private NodeConstraint ReadWhole()
    {
        SkipBlanks();
        bool isMissing = TryTake("!");
        string key = Word("a name such as zone", isMissing ? "after '!'" : "at the beginning");
        SkipBlanks();
        if (isMissing || at == text.Length)
        {
            return new NodeConstraint(key, isMissing ? ConstraintKind.Missing : ConstraintKind.Exists, []);
        }

        if (TryTake("!="))
        {
            return new NodeConstraint(key, ConstraintKind.NotIn, [Word("a value", "after '!='")]);
        }

        if (TryTake("==") || TryTake("="))
        {
            return new NodeConstraint(key, ConstraintKind.In, [Word("a value", "after '='")]);
        }

        int before = at;
        string word = TakeWord();
        if (word is not ("in" or "notin"))
        {
            throw Refuse(text, $"after '{key}' comes =, !=, in or notin, not '{Quoted.Of(text[before..])}'");
        }

        return new NodeConstraint(
            key, word == "in" ? ConstraintKind.In : ConstraintKind.NotIn, List(key, word));
    }

    private string[] List(string key, string word)
    {
        SkipBlanks();
        if (!TryTake("("))
        {
            throw Refuse(text, $"after '{word}' comes a list in parentheses, for instance {key} {word} (a,b)");
        }

        SortedSet<string> values = new(StringComparer.Ordinal);
        do
        {
            values.Add(Word("a value", "in the list"));
            SkipBlanks();
        }
        while (TryTake(","));

        if (!TryTake(")"))
        {
            throw Refuse(text, "the list has no end: write ) after its last value, and commas between them");
        }

        return values.Count <= MaxValues
            ? [.. values]
            : throw Refuse(text, $"its list has {values.Count} values; at most {MaxValues} are taken");
    }

    private string Word(string what, string where)
    {
        SkipBlanks();
        string word = TakeWord();
        return word.Length switch
        {
            0 => throw Refuse(
                text, $"{where} {what} is missing (letters, digits, '-', '_', '.' and '/')"),
            > MaxWord => throw Refuse(text, $"'{word[..20]}…' has more than {MaxWord} characters"),
            _ => word,
        };
    }

    private string TakeWord()
    {
        int end = text.AsSpan(at).IndexOfAnyExcept(WordCharacters);
        string word = end < 0 ? text[at..] : text.Substring(at, end);
        at += word.Length;
        return word;
    }

    private bool TryTake(string sign)
    {
        bool there = text.AsSpan(at).StartsWith(sign, StringComparison.Ordinal);
        at += there ? sign.Length : 0;
        return there;
    }

    private void SkipBlanks()
    {
        while (at < text.Length && text[at] == ' ')
        {
            at++;
        }
    }

    private static BerthException Refuse(string text, string why) =>
        new(ErrorCode.InvalidRequest, $"'{Quoted.Of(text)}' is no constraint: {why}.");
}
