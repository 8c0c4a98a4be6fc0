using System.Numerics;
using System.Runtime.InteropServices;

namespace Berth.Core.Placement;

/// <summary>A set of nodes, each told by its slot in the index. Small ones are lists, larger ones a bit to a node: an
/// index has very many sets, most of them of few nodes.</summary>
internal sealed class NodeSet
{
    private const int MostListed = 32;

    private int[] few = [];
    private ulong[]? words;

    public static NodeSet Empty { get; } = new();

    public int Count { get; private set; }

    public bool IsListed => words is null;

    /// <summary>Of a small set.</summary>
    public ReadOnlySpan<int> Listed => few.AsSpan(0, Count);

    /// <summary>Of a large one; what is beyond its end is not in it.</summary>
    public ReadOnlySpan<ulong> Words => words;

    public bool Contains(int slot) => words is null
        ? Listed.Contains(slot)
        : (uint)(slot >> 6) < (uint)words.Length && (words[slot >> 6] >> slot & 1) != 0;

    /// <summary>Nothing happens where it is there already.</summary>
    public void Add(int slot)
    {
        if (Contains(slot))
        {
            return;
        }

        if (words is null && Count == MostListed)
        {
            words = new ulong[(Math.Max(slot, few.Max()) >> 6) + 1];
            foreach (int other in few)
            {
                Bits.Set(words, other);
            }

            few = [];
        }

        if (words is null)
        {
            if (few.Length == Count)
            {
                Array.Resize(ref few, Math.Max(4, Count * 2));
            }

            few[Count++] = slot;
            return;
        }

        if (slot >> 6 >= words.Length)
        {
            Array.Resize(ref words, Math.Max((slot >> 6) + 1, words.Length * 2));
        }

        Bits.Set(words, slot);
        Count++;
    }

    public void Remove(int slot)
    {
        if (!Contains(slot))
        {
            return;
        }

        Count--;
        if (words is null)
        {
            int place = Array.IndexOf(few, slot);
            few[place] = few[Count];
        }
        else
        {
            Bits.Clear(words, slot);
        }
    }

    /// <summary>Makes it what the bits say.</summary>
    public void Become(ReadOnlySpan<ulong> bits)
    {
        few = [];
        if (words?.Length != bits.Length)
        {
            words = new ulong[bits.Length];
        }

        bits.CopyTo(words);
        Count = Bits.Count(bits);
    }

    /// <summary>What of <paramref name="from"/> is in it.</summary>
    public void Intersect(ReadOnlySpan<ulong> from, Span<ulong> into)
    {
        if (words is not null)
        {
            Bits.And(from, words, into);
            return;
        }

        into.Clear();
        foreach (int slot in Listed)
        {
            if (Bits.Has(from, slot))
            {
                Bits.Set(into, slot);
            }
        }
    }

    public void Subtract(Span<ulong> from)
    {
        if (words is not null)
        {
            Bits.AndNot(from, words);
            return;
        }

        foreach (int slot in Listed)
        {
            Bits.Clear(from, slot);
        }
    }

    public void Unite(Span<ulong> into)
    {
        if (words is not null)
        {
            Bits.Or(into, words);
            return;
        }

        foreach (int slot in Listed)
        {
            Bits.Set(into, slot);
        }
    }

    public bool Meets(ReadOnlySpan<ulong> bits)
    {
        if (words is not null)
        {
            return Bits.Meet(bits, words);
        }

        foreach (int slot in Listed)
        {
            if (Bits.Has(bits, slot))
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>Sets as bits, many nodes at a step. The second operand may be shorter: what it lacks is 0.</summary>
internal static class Bits
{
    public static bool Has(ReadOnlySpan<ulong> bits, int slot) => (bits[slot >> 6] >> slot & 1) != 0;

    public static void Set(Span<ulong> bits, int slot) => bits[slot >> 6] |= 1UL << slot;

    public static void Clear(Span<ulong> bits, int slot) => bits[slot >> 6] &= ~(1UL << slot);

    public static int Count(ReadOnlySpan<ulong> bits)
    {
        int count = 0;
        foreach (ulong word in bits)
        {
            count += BitOperations.PopCount(word);
        }

        return count;
    }

    public static void And(ReadOnlySpan<ulong> from, ReadOnlySpan<ulong> with, Span<ulong> into)
    {
        int length = Math.Min(from.Length, with.Length);
        ReadOnlySpan<Vector<ulong>> a = MemoryMarshal.Cast<ulong, Vector<ulong>>(from[..length]);
        ReadOnlySpan<Vector<ulong>> b = MemoryMarshal.Cast<ulong, Vector<ulong>>(with[..length]);
        Span<Vector<ulong>> c = MemoryMarshal.Cast<ulong, Vector<ulong>>(into[..length]);
        for (int i = 0; i < a.Length; i++)
        {
            c[i] = a[i] & b[i];
        }

        for (int i = a.Length * Vector<ulong>.Count; i < length; i++)
        {
            into[i] = from[i] & with[i];
        }

        into[length..].Clear();
    }

    public static void AndNot(Span<ulong> from, ReadOnlySpan<ulong> without)
    {
        int length = Math.Min(from.Length, without.Length);
        Span<Vector<ulong>> a = MemoryMarshal.Cast<ulong, Vector<ulong>>(from[..length]);
        ReadOnlySpan<Vector<ulong>> b = MemoryMarshal.Cast<ulong, Vector<ulong>>(without[..length]);
        for (int i = 0; i < a.Length; i++)
        {
            a[i] &= ~b[i];
        }

        for (int i = a.Length * Vector<ulong>.Count; i < length; i++)
        {
            from[i] &= ~without[i];
        }
    }

    public static void Or(Span<ulong> into, ReadOnlySpan<ulong> more)
    {
        int length = Math.Min(into.Length, more.Length);
        Span<Vector<ulong>> a = MemoryMarshal.Cast<ulong, Vector<ulong>>(into[..length]);
        ReadOnlySpan<Vector<ulong>> b = MemoryMarshal.Cast<ulong, Vector<ulong>>(more[..length]);
        for (int i = 0; i < a.Length; i++)
        {
            a[i] |= b[i];
        }

        for (int i = a.Length * Vector<ulong>.Count; i < length; i++)
        {
            into[i] |= more[i];
        }
    }

    public static bool Meet(ReadOnlySpan<ulong> bits, ReadOnlySpan<ulong> others)
    {
        int length = Math.Min(bits.Length, others.Length);
        ReadOnlySpan<Vector<ulong>> a = MemoryMarshal.Cast<ulong, Vector<ulong>>(bits[..length]);
        ReadOnlySpan<Vector<ulong>> b = MemoryMarshal.Cast<ulong, Vector<ulong>>(others[..length]);
        for (int i = 0; i < a.Length; i++)
        {
            if ((a[i] & b[i]) != Vector<ulong>.Zero)
            {
                return true;
            }
        }

        for (int i = a.Length * Vector<ulong>.Count; i < length; i++)
        {
            if ((bits[i] & others[i]) != 0)
            {
                return true;
            }
        }

        return false;
    }
}
