using System.Runtime.InteropServices;

namespace Berth.Commands.Terminals;

/// <summary>
/// Notices that whoever read standard output has gone, as in <c>berth logs -f web | head -3</c>, also while nothing is
/// written: the kernel tells it of a pipe's and a socket's writing end without being asked for anything (poll(2)).
/// </summary>
internal static unsafe partial class OutputWatch
{
    private const int StandardOutput = 1;
    private const short Error = 0x8;
    private const short HungUp = 0x10;

    /// <summary>Watches until the process ends; call it once. The token is canceled when the reader has gone; it never
    /// is where standard output is a file or a terminal that stays.</summary>
    public static CancellationToken Begin()
    {
        CancellationTokenSource gone = new();
        new Thread(() => Wait(gone)) { IsBackground = true, Name = "standard output" }.Start();
        return gone.Token;
    }

    private static void Wait(CancellationTokenSource gone)
    {
        Entry entry = new() { Descriptor = StandardOutput };
        while (Poll(&entry, 1, Timeout.Infinite) < 0)
        {
            // A signal came.
        }

        if ((entry.Returned & (Error | HungUp)) != 0)
        {
            gone.Cancel();
        }
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(Entry* entries, nuint count, int timeout);

    /// <summary>struct pollfd (poll.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public int Descriptor;
        public short Asked;
        public short Returned;
    }
}
