using System.Runtime.InteropServices;

namespace Berth.Init.Linux;

/// <summary>
/// Memory outside the managed heap for what one frame orders: the child between fork and execve may touch nothing else.
/// All of it is given back together, once the program runs or can't.
/// </summary>
internal static unsafe class FrameMemory
{
    private static readonly List<nint> Blocks = [];

    /// <summary>Not cleared.</summary>
    public static void* Take(nuint bytes)
    {
        void* block = NativeMemory.Alloc(Math.Max(bytes, 1));
        Blocks.Add((nint)block);
        return block;
    }

    public static void* TakeCleared(nuint bytes)
    {
        void* block = Take(bytes);
        NativeMemory.Clear(block, bytes);
        return block;
    }

    public static void Release()
    {
        foreach (nint block in Blocks)
        {
            NativeMemory.Free((void*)block);
        }

        Blocks.Clear();
    }
}
