using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Programs;

/// <summary>The folder a program starts in. Made when missing, owned by root, as docker does.</summary>
internal static unsafe class WorkingDirectory
{
    private const int Mode = 0b111_101_101;

    public static void Ensure(byte* path)
    {
        ReadOnlySpan<byte> text = NativeText.Span(path);
        if (text.SequenceEqual("/proc"u8) || text.StartsWith("/proc/"u8))
        {
            throw Refuse(text, 0, "lies in /proc");
        }

        Kernel.FileStatus status;
        if (Kernel.Stat(path, &status) == 0)
        {
            if (!status.IsFolder)
            {
                throw Refuse(text, Kernel.ENOTDIR, "is not a folder");
            }

            return;
        }

        MakeEach(text);
    }

    private static void MakeEach(ReadOnlySpan<byte> path)
    {
        byte* copy = NativeText.Copy(path);
        for (int i = 1; i <= path.Length; i++)
        {
            if (i < path.Length && path[i] != (byte)'/')
            {
                continue;
            }

            copy[i] = 0;
            if (Kernel.MakeDirectory(copy, Mode) < 0 && Kernel.Errno != Kernel.EEXIST)
            {
                throw Refuse(path, Kernel.Errno, "can't be made");
            }

            copy[i] = (byte)'/';
        }
    }

    private static InitException Refuse(ReadOnlySpan<byte> path, int errno, string why) =>
        new(RefusalReason.WorkingDirectory, errno, $"The working directory {NativeText.ForPeople(path)} {why}.");
}
