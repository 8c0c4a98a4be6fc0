using System.Collections.Frozen;
using System.Globalization;

namespace Berth.Core.Triggers;

/// <summary>One field of a cron line: which of its numbers match. A value of at most 60 bits.</summary>
/// <param name="Bits">Bit n is set where n matches.</param>
/// <param name="IsWild">It begins with <c>*</c>: it says nothing by itself about a certain number.</param>
internal readonly record struct CronField(ulong Bits, bool IsWild)
{
    public static readonly FrozenDictionary<string, int> Months = Names(
        1, "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec");

    public static readonly FrozenDictionary<string, int> Days = Names(
        0, "sun", "mon", "tue", "wed", "thu", "fri", "sat");

    public bool Has(int number) => (Bits >> number & 1) != 0;

    /// <summary>The least that matches and is not below; -1 for none.</summary>
    public int From(int number)
    {
        if (number >= 64)
        {
            return -1;
        }

        ulong rest = Bits >> number << number;
        return rest == 0 ? -1 : System.Numerics.BitOperations.TrailingZeroCount(rest);
    }

    /// <summary>Parts with commas between: <c>*</c>, a number or name, a range, each with <c>/STEP</c> behind.
    /// </summary>
    public static bool TryParse(
        string text, int least, int most, FrozenDictionary<string, int>? names, out CronField field)
    {
        ulong bits = 0;
        field = default;
        foreach (string part in text.Split(','))
        {
            int slash = part.IndexOf('/', StringComparison.Ordinal);
            string range = slash < 0 ? part : part[..slash];
            int step = 1;
            if ((slash >= 0 && !TryNumber(part[(slash + 1)..], 1, most, null, out step))
                || !TryRange(range, least, most, names, slash >= 0, out int first, out int last))
            {
                return false;
            }

            for (int number = first; number <= last; number += step)
            {
                bits |= 1UL << number;
            }
        }

        field = new CronField(bits, text[0] == '*');
        return true;
    }

    private static bool TryRange(
        string text, int least, int most, FrozenDictionary<string, int>? names, bool stepped, out int first,
        out int last)
    {
        (first, last) = (least, most);
        if (text == "*")
        {
            return true;
        }

        int dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash >= 0)
        {
            return TryNumber(text[..dash], least, most, names, out first)
                && TryNumber(text[(dash + 1)..], least, most, names, out last) && first <= last;
        }

        bool read = TryNumber(text, least, most, names, out first);
        // With a step, one number is where it begins.
        last = stepped ? most : first;
        return read;
    }

    private static bool TryNumber(
        string text, int least, int most, FrozenDictionary<string, int>? names, out int number) =>
        (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number)
            && text.Length <= 2 && number >= least && number <= most)
        || (names is not null && names.TryGetValue(text, out number));

    private static FrozenDictionary<string, int> Names(int first, params string[] names) => names
        .Select((name, i) => (name, i))
        .ToFrozenDictionary(n => n.name, n => n.i + first, StringComparer.OrdinalIgnoreCase);
}
