using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Berth.Core.Networks;

/// <summary>
/// X25519 (RFC 7748): makes the public key of a private one, which the platform's library does not have. Takes as long
/// for every key: no branch and no index depends on a secret. Numbers are five limbs of 51 bits modulo 2^255 - 19.
/// </summary>
public static class Curve25519
{
    private const int Length = PeerKey.Length;
    private const int Limbs = 5;
    private const ulong Mask = (1UL << 51) - 1;

    /// <summary>(486662 - 2) / 4, of the curve.</summary>
    private const ulong A24 = 121_665;

    /// <summary>A private key that nobody can guess.</summary>
    public static byte[] NewPrivate()
    {
        byte[] key = RandomNumberGenerator.GetBytes(Length);
        Clamp(key);
        return key;
    }

    public static byte[] PublicOf(ReadOnlySpan<byte> privateKey)
    {
        Span<byte> basePoint = stackalloc byte[Length];
        basePoint.Clear();
        basePoint[0] = 9;
        return Multiply(privateKey, basePoint);
    }

    /// <summary>Section 5: the ladder.</summary>
    public static byte[] Multiply(ReadOnlySpan<byte> scalar, ReadOnlySpan<byte> point)
    {
        Span<byte> bits = stackalloc byte[Length];
        scalar.CopyTo(bits);
        Clamp(bits);
        ulong[] x1 = Read(point);
        ulong[] x2 = [1, 0, 0, 0, 0];
        ulong[] z2 = new ulong[Limbs];
        ulong[] x3 = [.. x1];
        ulong[] z3 = [1, 0, 0, 0, 0];
        ulong swap = 0;
        for (int t = 254; t >= 0; t--)
        {
            ulong bit = (ulong)(bits[t >> 3] >> (t & 7)) & 1;
            swap ^= bit;
            Swap(swap, x2, x3);
            Swap(swap, z2, z3);
            swap = bit;
            ulong[] a = Add(x2, z2);
            ulong[] aa = Multiply(a, a);
            ulong[] b = Subtract(x2, z2);
            ulong[] bb = Multiply(b, b);
            ulong[] e = Subtract(aa, bb);
            ulong[] da = Multiply(Subtract(x3, z3), a);
            ulong[] cb = Multiply(Add(x3, z3), b);
            ulong[] sum = Add(da, cb);
            ulong[] difference = Subtract(da, cb);
            x3 = Multiply(sum, sum);
            z3 = Multiply(x1, Multiply(difference, difference));
            x2 = Multiply(aa, bb);
            z2 = Multiply(e, Add(aa, Multiply(e, [A24, 0, 0, 0, 0])));
        }

        Swap(swap, x2, x3);
        Swap(swap, z2, z3);
        CryptographicOperations.ZeroMemory(bits);
        return Write(Multiply(x2, Invert(z2)));
    }

    private static void Clamp(Span<byte> key)
    {
        key[0] &= 248;
        key[31] &= 127;
        key[31] |= 64;
    }

    /// <summary>By the power of p - 2 (Fermat).</summary>
    private static ulong[] Invert(ulong[] number)
    {
        // 2^255 - 21: every bit is one but the second and the fourth.
        ulong[] result = [1, 0, 0, 0, 0];
        for (int bit = 254; bit >= 0; bit--)
        {
            result = Multiply(result, result);
            if (bit is not (2 or 4))
            {
                result = Multiply(result, number);
            }
        }

        return result;
    }

    private static ulong[] Add(ulong[] a, ulong[] b)
    {
        ulong[] sum = new ulong[Limbs];
        for (int i = 0; i < Limbs; i++)
        {
            sum[i] = a[i] + b[i];
        }

        return Carry(sum);
    }

    private static ulong[] Subtract(ulong[] a, ulong[] b)
    {
        // Twice the modulus is added, so that no limb is below nothing.
        ulong[] difference = new ulong[Limbs];
        for (int i = 0; i < Limbs; i++)
        {
            difference[i] = a[i] + (2 * (i == 0 ? Mask - 18 : Mask)) - b[i];
        }

        return Carry(difference);
    }

    private static ulong[] Multiply(ulong[] a, ulong[] b)
    {
        Span<UInt128> wide = stackalloc UInt128[Limbs];
        for (int i = 0; i < Limbs; i++)
        {
            UInt128 sum = UInt128.Zero;
            for (int j = 0; j < Limbs; j++)
            {
                int k = i - j;
                // What is past 2^255 counts nineteen times at the beginning.
                sum += (UInt128)a[j] * (k >= 0 ? b[k] : 19 * b[k + Limbs]);
            }

            wide[i] = sum;
        }

        ulong[] product = new ulong[Limbs];
        UInt128 carry = UInt128.Zero;
        for (int i = 0; i < Limbs; i++)
        {
            UInt128 limb = wide[i] + carry;
            product[i] = (ulong)limb & Mask;
            carry = limb >> 51;
        }

        product[0] += 19 * (ulong)carry;
        return Carry(product);
    }

    private static ulong[] Carry(ulong[] number)
    {
        for (int i = 0; i < Limbs; i++)
        {
            ulong carry = number[i] >> 51;
            number[i] &= Mask;
            number[(i + 1) % Limbs] += i == Limbs - 1 ? 19 * carry : carry;
        }

        return number;
    }

    private static void Swap(ulong isSwapped, ulong[] a, ulong[] b)
    {
        ulong mask = 0 - isSwapped;
        for (int i = 0; i < Limbs; i++)
        {
            ulong both = mask & (a[i] ^ b[i]);
            a[i] ^= both;
            b[i] ^= both;
        }
    }

    /// <summary>The highest bit does not count.</summary>
    private static ulong[] Read(ReadOnlySpan<byte> bytes) =>
    [
        BinaryPrimitives.ReadUInt64LittleEndian(bytes) & Mask,
        (BinaryPrimitives.ReadUInt64LittleEndian(bytes[6..]) >> 3) & Mask,
        (BinaryPrimitives.ReadUInt64LittleEndian(bytes[12..]) >> 6) & Mask,
        (BinaryPrimitives.ReadUInt64LittleEndian(bytes[19..]) >> 1) & Mask,
        (BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]) >> 12) & Mask,
    ];

    private static byte[] Write(ulong[] number)
    {
        Carry(Carry(number));
        // Whether the modulus goes once more into it: then adding 19 carries out of the highest limb.
        ulong over = (number[0] + 19) >> 51;
        for (int i = 1; i < Limbs; i++)
        {
            over = (number[i] + over) >> 51;
        }

        number[0] += 19 * over;
        for (int i = 0; i < Limbs - 1; i++)
        {
            number[i + 1] += number[i] >> 51;
            number[i] &= Mask;
        }

        number[4] &= Mask;
        byte[] bytes = new byte[Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, number[0] | (number[1] << 51));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), (number[1] >> 13) | (number[2] << 38));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), (number[2] >> 26) | (number[3] << 25));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), (number[3] >> 39) | (number[4] << 12));
        return bytes;
    }
}
