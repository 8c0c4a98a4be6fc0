using System.Runtime.InteropServices;

namespace Berth.Commands.Terminals;

/// <summary>
/// Ctrl-C and SIGTERM as tokens. The first asks the command to end in good order; the second hurries it, or ends the
/// process at once where the command has nothing to tidy up.
/// </summary>
internal sealed class Interrupts : IDisposable
{
    public const int InterruptExitCode = 130;
    private const int TerminateExitCode = 143;

    private readonly CancellationTokenSource stop = new();
    private readonly CancellationTokenSource hurry = new();
    private readonly List<PosixSignalRegistration> registrations = [];
    private volatile bool hurryIsHeard;

    /// <summary>Exit code of the signal that came; 0 when none did.</summary>
    public int ExitCode { get; private set; }

    public CancellationToken Stop => stop.Token;

    public void Listen()
    {
        registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, c => Take(c, InterruptExitCode)));
        registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => Take(c, TerminateExitCode)));
    }

    /// <summary>Promises that whoever asked obeys the second signal.</summary>
    public CancellationToken HearHurry()
    {
        hurryIsHeard = true;
        return hurry.Token;
    }

    public void Dispose()
    {
        registrations.ForEach(r => r.Dispose());
        stop.Dispose();
        hurry.Dispose();
    }

    private void Take(PosixSignalContext context, int exitCode)
    {
        context.Cancel = true;
        if (!stop.IsCancellationRequested)
        {
            ExitCode = exitCode;
            stop.Cancel();
        }
        else if (hurryIsHeard)
        {
            hurry.Cancel();
        }
        else
        {
            Environment.Exit(exitCode);
        }
    }
}
