using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Core.Resources;

/// <summary>
/// A number of bytes, never negative. Written as people do: <c>512Mi</c>, <c>1.5Gi</c>, <c>64k</c>, <c>1G</c>,
/// <c>4096</c>, with or without a space. <c>Ki Mi Gi Ti</c> (also docker's <c>k m g t</c> and <c>kb mb gb</c>, any
/// case) are powers of 1,024.
/// </summary>
public readonly record struct ByteSize : IComparable<ByteSize>
{
    private ByteSize(long bytes) => Bytes = bytes;

    public long Bytes { get; }

    public static ByteSize Zero => default;

    public static ByteSize FromBytes(long bytes) =>
        bytes >= 0
            ? new ByteSize(bytes)
            : throw new ArgumentOutOfRangeException(nameof(bytes), bytes, "A size is never negative.");

    public static ByteSize KiB(long count) => FromBytes(checked(count * 1024));

    public static ByteSize MiB(long count) => FromBytes(checked(count * 1024 * 1024));

    public static ByteSize GiB(long count) => FromBytes(checked(count * 1024 * 1024 * 1024));

    public static ByteSize Parse(string value) => TryParse(value, out ByteSize size)
        ? size
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{value}' is not a size: write a number and a unit, for instance 256Mi, 1.5Gi or 64k.");

    public static bool TryParse([NotNullWhen(true)] string? value, out ByteSize size)
    {
        size = default;
        if (string.IsNullOrEmpty(value) || value.Length > 32)
        {
            return false;
        }

        int digits = value.AsSpan().IndexOfAnyExcept("0123456789.");
        ReadOnlySpan<char> number = digits < 0 ? value : value.AsSpan(0, digits);
        int shift = (digits < 0 ? "" : value[digits..].TrimStart(' ').ToLowerInvariant()) switch
        {
            "" or "b" => 0,
            "k" or "ki" or "kb" or "kib" => 10,
            "m" or "mi" or "mb" or "mib" => 20,
            "g" or "gi" or "gb" or "gib" => 30,
            "t" or "ti" or "tb" or "tib" => 40,
            _ => -1,
        };
        if (shift < 0
            || !decimal.TryParse(
                number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal amount)
            || amount > long.MaxValue >> shift)
        {
            return false;
        }

        size = new ByteSize((long)(amount * (1L << shift)));
        return true;
    }

    public int CompareTo(ByteSize other) => Bytes.CompareTo(other.Bytes);

    public static bool operator <(ByteSize left, ByteSize right) => left.Bytes < right.Bytes;

    public static bool operator >(ByteSize left, ByteSize right) => left.Bytes > right.Bytes;

    public static bool operator <=(ByteSize left, ByteSize right) => left.Bytes <= right.Bytes;

    public static bool operator >=(ByteSize left, ByteSize right) => left.Bytes >= right.Bytes;

    /// <summary>For instance <c>256Mi</c>, with the largest unit that leaves no fraction.</summary>
    public string ToExactString()
    {
        ReadOnlySpan<string> units = ["", "Ki", "Mi", "Gi", "Ti"];
        long amount = Bytes;
        int unit = 0;
        while (amount >= 1024 && amount % 1024 == 0 && unit < units.Length - 1)
        {
            amount /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{amount}{units[unit]}");
    }

    /// <summary>The shortest exact or one-decimal form with a binary unit, for instance <c>3.2 MiB</c>.</summary>
    public override string ToString()
    {
        ReadOnlySpan<string> units = ["B", "KiB", "MiB", "GiB", "TiB"];
        double amount = Bytes;
        int unit = 0;
        while (amount >= 1024 && unit < units.Length - 1)
        {
            amount /= 1024;
            unit++;
        }

        return unit == 0 ? $"{Bytes} B" : string.Create(CultureInfo.InvariantCulture, $"{amount:0.#} {units[unit]}");
    }
}
