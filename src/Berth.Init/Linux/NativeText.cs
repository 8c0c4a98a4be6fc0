using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Init.Linux;

/// <summary>C strings for the kernel, in <see cref="FrameMemory"/>.</summary>
internal static unsafe class NativeText
{
    public static byte* Copy(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second = default)
    {
        byte* text = (byte*)FrameMemory.Take((nuint)(first.Length + second.Length + 1));
        first.CopyTo(new Span<byte>(text, first.Length));
        second.CopyTo(new Span<byte>(text + first.Length, second.Length));
        text[first.Length + second.Length] = 0;
        return text;
    }

    public static ReadOnlySpan<byte> Span(byte* text) =>
        MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text);

    public static string ForPeople(ReadOnlySpan<byte> text) => Encoding.UTF8.GetString(text);
}
