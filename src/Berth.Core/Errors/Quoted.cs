using System.Globalization;
using System.Text;

namespace Berth.Core.Errors;

/// <summary>A text from outside, made fit for a message, a log or a terminal: its beginning, and a question mark in
/// place of what steers one or can't be shown.</summary>
public static class Quoted
{
    private const int Most = 100;

    public static string Of(string? text)
    {
        StringBuilder fit = new();
        foreach (Rune rune in (text ?? "").EnumerateRunes())
        {
            if (fit.Length >= Most)
            {
                return fit.Append('…').ToString();
            }

            fit.Append(IsShown(rune) ? rune.ToString() : "?");
        }

        return fit.ToString();
    }

    // Format characters turn the direction of what follows; the replacement character stands for broken UTF-16.
    private static bool IsShown(Rune rune) => rune != Rune.ReplacementChar && Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.LineSeparator
        or UnicodeCategory.ParagraphSeparator);
}
