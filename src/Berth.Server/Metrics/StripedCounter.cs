using System.Runtime.InteropServices;

namespace Berth.Server.Metrics;

/// <summary>
/// A number that many cores add to at once: each writes a cache line of its own, readers add them up.
/// </summary>
internal sealed class StripedCounter
{
    private static readonly int Stripes =
        (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount);

    private readonly Cell[] cells = new Cell[Stripes];

    public long Value
    {
        get
        {
            long sum = 0;
            foreach (ref Cell cell in cells.AsSpan())
            {
                sum += Interlocked.Read(ref cell.Value);
            }

            return sum;
        }
    }

    public void Add(long amount) =>
        Interlocked.Add(ref cells[Thread.GetCurrentProcessorId() & (Stripes - 1)].Value, amount);

    // Two lines apart: processors fetch lines in pairs.
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct Cell
    {
        [FieldOffset(0)]
        public long Value;
    }
}
