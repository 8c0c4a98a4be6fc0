using Berth.Core.Errors;

namespace Berth.Core.Images;

/// <summary>
/// A pattern for names of tags or repositories: <c>*</c> stands for any characters (a slash too), <c>?</c> for one.
/// Matching takes time in proportion to pattern times name, whatever they are.
/// </summary>
public readonly record struct NamePattern
{
    private const int MaxLength = 255;

    private NamePattern(string text) => Text = text;

    public string Text { get; }

    public static NamePattern Parse(string text) =>
        text.Length is > 0 and <= MaxLength
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '/' or '*' or '?')
            ? new NamePattern(text)
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{(text.Length > MaxLength ? text[..MaxLength] + "…" : text)}' is not a pattern: use letters, "
                + $"digits and . _ - /, with * for any characters and ? for one, {MaxLength} at most.");

    public bool Matches(ReadOnlySpan<char> name)
    {
        int at = 0;
        int star = -1;
        int resume = 0;
        int i = 0;
        while (i < name.Length)
        {
            if (at < Text.Length && (Text[at] == '?' || (Text[at] != '*' && Text[at] == name[i])))
            {
                at++;
                i++;
            }
            else if (at < Text.Length && Text[at] == '*')
            {
                star = at++;
                resume = i;
            }
            else if (star >= 0)
            {
                // The last star takes one character more; earlier ones never need to be looked at again.
                at = star + 1;
                i = ++resume;
            }
            else
            {
                return false;
            }
        }

        return Text.AsSpan(at).IndexOfAnyExcept('*') < 0;
    }

    public override string ToString() => Text;
}
