using System.Text;

namespace Berth.Testing.Fuzzing;

/// <summary>
/// Makes texts that are nearly right out of right ones. Of the same right ones a number gives the same text for ever,
/// in every process, so that a failure's number is all that is needed to see it again.
/// </summary>
public sealed class Mutator(IReadOnlyList<byte[]> seeds)
{
    private const int MostChanges = 5;

    private static readonly byte[][] Tokens =
    [
        [0], [0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80],
        .. new[]
        {
            "\r\n", "\n", "\r", " ", "\t", "%00", "%2e%2e%2f", "%", "%zz", "../", "//", ":", "@", "#", "?", "&", "=",
            ",", ";", "\"", "'", "\\", "{", "}", "[", "]", "-1", "0", "+5", "0x7f", "1e9", "9223372036854775807",
            "9223372036854775808", "18446744073709551616", "2147483648", "NaN", "null", "true", "\u202e", "\ufeff",
            "sha256:", "*", "$(id)", "%s%n",
        }.Select(Encoding.UTF8.GetBytes),
    ];

    public byte[] Make(long number)
    {
        Numbers random = new(number);
        List<byte> text = [.. seeds[random.Next(seeds.Count)]];
        for (int changes = random.Next(MostChanges) + 1; changes > 0; changes--)
        {
            Change(text, random);
        }

        return [.. text];
    }

    private void Change(List<byte> text, Numbers random)
    {
        int at = random.Next(text.Count + 1);
        int length = Math.Min(text.Count - at, random.Next(1, 16));
        switch (random.Next(8))
        {
            case 0 when at < text.Count:
                text[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1 when at < text.Count:
                text[at] = (byte)random.Next(256);
                break;
            case 2:
                text.RemoveRange(at, length);
                break;
            case 3:
                text.InsertRange(at, [.. text.GetRange(at, length)]);
                break;
            case 4:
                text.InsertRange(at, Tokens[random.Next(Tokens.Length)]);
                break;
            case 5:
                text.RemoveRange(at, length);
                text.InsertRange(at, Tokens[random.Next(Tokens.Length)]);
                break;
            case 6:
                byte[] other = seeds[random.Next(seeds.Count)];
                int from = random.Next(other.Length + 1);
                text.InsertRange(at, other[from..Math.Min(other.Length, from + 40)]);
                break;
            case 7 when random.Next(20) == 0 && at < text.Count:
                text.InsertRange(at, Enumerable.Repeat(text[at], random.Next(1, 3000)));
                break;
            default:
                text.RemoveRange(at, text.Count - at);
                text.AddRange(Tokens[random.Next(Tokens.Length)]);
                break;
        }
    }

    /// <summary>SplitMix64 (Steele, Lea and Flood, 2014): the framework's own numbers may change with its version, and
    /// its hash codes do with every process.</summary>
    private sealed class Numbers(long seed)
    {
        private ulong state = unchecked((ulong)seed);

        /// <summary>From 0 to below <paramref name="end"/>.</summary>
        public int Next(int end)
        {
            unchecked
            {
                state += 0x9E3779B97F4A7C15;
                ulong mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
                mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
                mixed ^= mixed >> 31;
                return (int)(((mixed >> 32) * (ulong)end) >> 32);
            }
        }

        public int Next(int first, int end) => first + Next(end - first);
    }
}
