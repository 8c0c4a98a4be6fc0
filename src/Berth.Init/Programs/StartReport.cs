using System.Diagnostics;
using Berth.Init.Protocol;

namespace Berth.Init.Programs;

/// <summary>
/// That the program runs, told to the node when the order says: at once, or together with its end where that comes soon
/// enough, which spares both sides a change of thread.
/// </summary>
/// <param name="patience">Milliseconds; see <see cref="StartFrame.Patience"/>.</param>
internal sealed class StartReport(ControlSocket control, int program, byte patience)
{
    private readonly long began = Stopwatch.GetTimestamp();
    private bool told;

    /// <summary>How long to wait for news, in milliseconds; -1 for ever.</summary>
    public int Patience => told ? -1 : patience;

    /// <summary>False when the node is gone.</summary>
    public bool TryTell()
    {
        if (told)
        {
            return true;
        }

        told = true;
        return control.TrySend(Frame());
    }

    /// <summary>The end, with the start where nobody knows of it yet. False when the node is gone.</summary>
    public bool TryEnd(ExitedFrame end)
    {
        ReadOnlyMemory<byte> last = end.Encode();
        if (told)
        {
            return control.TrySend(last);
        }

        ReadOnlyMemory<byte> first = Frame();
        byte[] both = new byte[first.Length + last.Length];
        first.CopyTo(both);
        last.CopyTo(both.AsMemory(first.Length));
        return control.TrySend(both);
    }

    private ReadOnlyMemory<byte> Frame() =>
        new StartedFrame(
            program,
            Math.Min((long)Stopwatch.GetElapsedTime(began).TotalMicroseconds, StartedFrame.LongestMicroseconds))
            .Encode();
}
