using System.Buffers.Binary;

namespace Berth.Node.Linux;

/// <summary>
/// Instructions for the kernel's filters (struct sock_filter, linux/filter.h), written one after the other with labels
/// for places to come. Jumps lead forward only, so every filter ends.
/// </summary>
internal sealed class FilterProgram
{
    private const ushort LoadWord = 0x20;
    private const ushort JumpEqual = 0x15;
    private const ushort JumpAtLeast = 0x35;
    private const ushort JumpAnyBit = 0x45;
    private const ushort ReturnValue = 0x06;
    private const int InstructionBytes = 8;

    private readonly List<(ushort Code, Label? IfTrue, Label? IfFalse, uint Operand)> instructions = [];

    /// <summary>Of four bytes of what is judged.</summary>
    public void Load(uint offset) => instructions.Add((LoadWord, null, null, offset));

    public void Equal(uint value, Label ifTrue, Label ifFalse) =>
        instructions.Add((JumpEqual, ifTrue, ifFalse, value));

    public void UnlessEqual(uint value, Label ifFalse) => instructions.Add((JumpEqual, null, ifFalse, value));

    public void AtLeast(uint value, Label ifTrue, Label ifFalse) =>
        instructions.Add((JumpAtLeast, ifTrue, ifFalse, value));

    public void UnlessAtLeast(uint value, Label ifFalse) => instructions.Add((JumpAtLeast, null, ifFalse, value));

    public void AnyBit(uint mask, Label ifTrue, Label ifFalse) =>
        instructions.Add((JumpAnyBit, ifTrue, ifFalse, mask));

    public void Return(uint action) => instructions.Add((ReturnValue, null, null, action));

    /// <summary>The label is the next instruction's from here on.</summary>
    public void Mark(Label label) => label.Index = instructions.Count;

    /// <summary>Throws InvalidOperationException when a jump leads back or further than 255 instructions.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[instructions.Count * InstructionBytes];
        for (int i = 0; i < instructions.Count; i++)
        {
            (ushort code, Label? ifTrue, Label? ifFalse, uint operand) = instructions[i];
            Span<byte> one = bytes.AsSpan(i * InstructionBytes, InstructionBytes);
            BinaryPrimitives.WriteUInt16LittleEndian(one, code);
            one[2] = Distance(i, ifTrue);
            one[3] = Distance(i, ifFalse);
            BinaryPrimitives.WriteUInt32LittleEndian(one[4..], operand);
        }

        return bytes;
    }

    private static byte Distance(int from, Label? to)
    {
        int distance = to is null ? 0 : to.Index - from - 1;
        return distance is >= 0 and <= byte.MaxValue
            ? (byte)distance
            : throw new InvalidOperationException($"A jump of a filter from {from} by {distance} can't be written.");
    }

    /// <summary>A place in the program.</summary>
    internal sealed class Label
    {
        public int Index { get; set; } = -1;
    }
}
