namespace Berth.Commands;

/// <summary>Guesses what a mistyped word was meant to be.</summary>
internal static class Spelling
{
    /// <summary>The nearest of the words, if it is near enough to be meant: two slips, or a shared beginning.</summary>
    public static string? Nearest(string word, IEnumerable<string> words)
    {
        var ranked = words.Select(w => (Word: w, Slips: Slips(word, w))).OrderBy(r => r.Slips).ToArray();
        return ranked.Length > 0 && (ranked[0].Slips <= 2 || ranked[0].Word.StartsWith(word, StringComparison.Ordinal))
            ? ranked[0].Word
            : null;
    }

    /// <summary>Insertions, deletions and replacements between two words (Levenshtein).</summary>
    private static int Slips(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
