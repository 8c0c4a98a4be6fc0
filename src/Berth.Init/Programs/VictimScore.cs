using Berth.Init.Linux;

namespace Berth.Init.Programs;

/// <summary>
/// Out of memory must hit a program rather than its init, which has the end to report. A child is born with its
/// parent's score, so who starts one program after the other raises its own for the moment of a fork: a file for each
/// child, which the kernel makes and takes down again, costs several times as much. One's own score may be raised, and
/// lowered again to where it was, without any right (proc(5)).
/// </summary>
internal sealed unsafe class VictimScore
{
    public const int MostBytes = 16;

    private readonly int file;
    private readonly byte[] own = new byte[MostBytes];
    private readonly int ownLength;

    private VictimScore(int file)
    {
        this.file = file;
        fixed (byte* start = own)
        {
            ownLength = (int)Math.Max(Kernel.Read(file, start, MostBytes), 0);
        }
    }

    /// <summary>What programs get: any of them goes before any init.</summary>
    public static ReadOnlySpan<byte> OfPrograms => "500"u8;

    /// <summary>Of this process; null where it can't be known.</summary>
    public static VictimScore? TryOpen()
    {
        fixed (byte* path = "/proc/self/oom_score_adj\0"u8)
        {
            int file = Kernel.Open(path, Kernel.O_RDWR | Kernel.O_CLOEXEC);
            return file < 0 ? null : new VictimScore(file);
        }
    }

    /// <summary>Whether children are born with it from now on.</summary>
    public bool TryRaise() => ownLength > 0 && Write(OfPrograms);

    public void Restore() => Write(own.AsSpan(0, ownLength));

    private bool Write(ReadOnlySpan<byte> score)
    {
        fixed (byte* start = score)
        {
            return Kernel.Write(file, start, score.Length) == score.Length;
        }
    }
}
