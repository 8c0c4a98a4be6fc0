using System.Buffers.Binary;

namespace Berth.Tests.Linux;

/// <summary>
/// Runs a seccomp filter as the kernel would (seccomp(2), linux/filter.h), for asking it about any call without making
/// the call. Knows the instructions that libseccomp writes.
/// </summary>
internal sealed class FilterMachine(ReadOnlyMemory<byte> instructions)
{
    public const uint Allow = 0x7FFF_0000;
    public const uint Kill = 0x8000_0000;
    public const uint X64 = 0xC000_003E;
    public const uint I386 = 0x4000_0003;

    public static uint Refuse(int errno) => 0x0005_0000u | (uint)errno;

    /// <summary>The action for a call.</summary>
    public uint Decide(uint number, ulong[]? arguments = null, uint architecture = X64)
    {
        byte[] data = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(data, number);
        BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(4), architecture);
        for (int i = 0; i < (arguments?.Length ?? 0); i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(16 + (8 * i)), arguments![i]);
        }

        ReadOnlySpan<byte> code = instructions.Span;
        uint accumulator = 0;
        for (int at = 0; ; at++)
        {
            ReadOnlySpan<byte> instruction = code.Slice(8 * at, 8);
            uint operand = BinaryPrimitives.ReadUInt32LittleEndian(instruction[4..]);
            switch (BinaryPrimitives.ReadUInt16LittleEndian(instruction))
            {
                case 0x20:
                    accumulator = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan((int)operand));
                    break;
                case 0x54:
                    accumulator &= operand;
                    break;
                case 0x05:
                    at += (int)operand;
                    break;
                case 0x15:
                    at += accumulator == operand ? instruction[2] : instruction[3];
                    break;
                case 0x25:
                    at += accumulator > operand ? instruction[2] : instruction[3];
                    break;
                case 0x35:
                    at += accumulator >= operand ? instruction[2] : instruction[3];
                    break;
                case 0x45:
                    at += (accumulator & operand) != 0 ? instruction[2] : instruction[3];
                    break;
                case 0x06:
                    return operand;
                case var other:
                    throw new InvalidOperationException($"Instruction {at} has the unknown code {other:x}.");
            }
        }
    }
}
