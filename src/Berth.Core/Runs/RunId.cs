using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Berth.Core.Errors;

namespace Berth.Core.Runs;

/// <summary>
/// Identity of a run: 26 characters of Crockford's base 32 in lower case. The layout is ULID's, 48 bits of Unix
/// milliseconds and 80 more, of which the first 14 count the 100 ns steps within the millisecond and the rest are
/// random: ids sort by the time they were made, to the clock's last digit, and can't be guessed.
/// </summary>
public readonly record struct RunId : IComparable<RunId>
{
    private const string Alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

    private readonly string? text;

    private RunId(string text) => this.text = text;

    public string Text => text ?? throw new InvalidOperationException("An empty RunId was used.");

    public bool IsEmpty => text is null;

    /// <summary>When it was made, in Unix milliseconds: its first ten characters.</summary>
    public long UnixMilliseconds
    {
        get
        {
            long milliseconds = 0;
            foreach (char digit in Text.AsSpan(0, 10))
            {
                milliseconds = (milliseconds << 5) | (long)Alphabet.IndexOf(digit, StringComparison.Ordinal);
            }

            return milliseconds;
        }
    }

    public static RunId New(DateTimeOffset now)
    {
        const int StepBits = 14;
        Span<byte> rest = stackalloc byte[10];
        RandomStore.Take(rest);
        int step = (int)(now.UtcTicks % TimeSpan.TicksPerMillisecond);
        int random = BinaryPrimitives.ReadUInt16BigEndian(rest) & ((1 << (16 - StepBits)) - 1);
        BinaryPrimitives.WriteUInt16BigEndian(rest, (ushort)((step << (16 - StepBits)) | random));
        return FromParts(now.ToUnixTimeMilliseconds(), rest);
    }

    /// <summary>Builds an id from its two parts; <paramref name="rest"/> has 10 bytes.</summary>
    public static RunId FromParts(long unixMilliseconds, ReadOnlySpan<byte> rest)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, (ulong)unixMilliseconds << 16);
        rest[..10].CopyTo(bytes[6..]);
        UInt128 value = BinaryPrimitives.ReadUInt128BigEndian(bytes);
        return new RunId(string.Create(26, value, static (span, left) =>
        {
            for (int i = 25; i >= 0; i--)
            {
                span[i] = Alphabet[(int)(left & 31)];
                left >>= 5;
            }
        }));
    }

    /// <summary>Its 128 bits, the highest first.</summary>
    public byte[] ToBytes()
    {
        UInt128 value = 0;
        foreach (char digit in Text)
        {
            value = (value << 5) | (UInt128)Alphabet.IndexOf(digit, StringComparison.Ordinal);
        }

        byte[] bytes = new byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, value);
        return bytes;
    }

    public static RunId Parse(string value) => TryParse(value, out RunId id)
        ? id
        : throw new BerthException(
            ErrorCode.RunNotFound,
            $"There is no run '{(value is { Length: > 64 } ? value[..64] + "…" : value)}': "
            + "an id has 26 characters such as 01jd3v8k….");

    public static bool TryParse([NotNullWhen(true)] string? value, out RunId id)
    {
        bool valid = value is { Length: 26 } && value[0] <= '7' && !value.AsSpan().ContainsAnyExcept(Alphabet);
        id = valid ? new RunId(value!) : default;
        return valid;
    }

    public int CompareTo(RunId other) => string.CompareOrdinal(text, other.text);

    public override string ToString() => text ?? "(none)";
}
