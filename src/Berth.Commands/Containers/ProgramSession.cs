using System.Runtime.InteropServices;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Commands.Terminals;

namespace Berth.Commands.Containers;

/// <summary>
/// Brings a program's streams and this terminal together: what is typed goes there, what it writes comes here, the
/// window's size and Ctrl-C go along.
/// </summary>
/// <param name="isOurs">Whether the program is this command's and ends with the connection, unless the server is told
/// to let it go on.</param>
internal sealed class ProgramSession(Session session, ProgramConnection program, DetachKeys keys, bool isOurs)
{
    private const int Block = 16 * 1024;

    /// <summary>How long the server may take to let it go on.</summary>
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource detached = new();
    private bool leaves;

    /// <summary>Whether the program was left running by the detach keys.</summary>
    public bool IsDetached => leaves;

    /// <summary>Returns the program's exit code; null where it was left running.</summary>
    /// <param name="atTerminal">The program runs at a terminal.</param>
    /// <param name="input">Whether what is typed or piped in goes to it.</param>
    /// <param name="signals">Whether Ctrl-C and SIGTERM are passed on to it; else they end this command.</param>
    public async Task<int?> RunAsync(bool atTerminal, bool input, bool signals, CancellationToken cancellationToken)
    {
        using RawMode? raw = atTerminal && input ? RawMode.TryEnter() : null;
        using PosixSignalRegistration? resizing = atTerminal ? FollowWindow() : null;
        await using CancellationTokenRegistration interrupt = cancellationToken.Register(
            () => _ = TrySignalAsync(session.Interrupts.ExitCode == Interrupts.InterruptExitCode ? "INT" : "TERM"));
        CancellationToken hurry = signals ? session.Interrupts.HearHurry() : CancellationToken.None;
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(
            detached.Token, hurry, signals ? CancellationToken.None : cancellationToken);
        if (input)
        {
            // Reading a terminal can't be called off: it ends with the process.
            _ = Task.Run(() => FeedAsync(atTerminal, over.Token), CancellationToken.None);
        }

        try
        {
            while (await program.ReadAsync(over.Token) is { } piece)
            {
                Stream target = piece.Stream == StreamProtocol.Error
                    ? session.Terminal.ErrorOutput
                    : session.Terminal.Output;
                await target.WriteAsync(piece.Bytes, over.Token);
                await target.FlushAsync(over.Token);
            }

            return program.ExitCode;
        }
        catch (OperationCanceledException) when (IsDetached)
        {
            return null;
        }
    }

    private PosixSignalRegistration FollowWindow()
    {
        _ = TryResizeAsync();
        return PosixSignalRegistration.Create(PosixSignal.SIGWINCH, OnResize);
    }

    private void OnResize(PosixSignalContext context) => _ = TryResizeAsync();

    private async Task TryResizeAsync()
    {
        try
        {
            if (RawMode.WindowSize() is { } size)
            {
                await program.ResizeAsync(size.Rows, size.Columns, CancellationToken.None);
            }
        }
        catch (IOException)
        {
            // The program has ended.
        }
    }

    private async Task TrySignalAsync(string signal)
    {
        try
        {
            await program.SignalAsync(signal, CancellationToken.None);
        }
        catch (IOException)
        {
            // The program has ended.
        }
    }

    private async Task LeaveAsync()
    {
        if (isOurs)
        {
            await program.DetachAsync(CancellationToken.None);
            detached.CancelAfter(Farewell);
        }
        else
        {
            await detached.CancelAsync();
        }
    }

    private async Task FeedAsync(bool atTerminal, CancellationToken over)
    {
        try
        {
            await using Stream source = session.Terminal.OpenInput();
            byte[] block = new byte[Block];
            int count;
            while ((count = await source.ReadAsync(block, over)) > 0)
            {
                if (!atTerminal)
                {
                    await program.WriteAsync(block.AsMemory(0, count), over);
                    continue;
                }

                byte[] typed = keys.Take(block.AsSpan(0, count), out leaves);
                if (typed.Length > 0)
                {
                    await program.WriteAsync(typed, over);
                }

                if (leaves)
                {
                    await LeaveAsync();
                    return;
                }
            }

            await program.EndInputAsync(over);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or UnauthorizedAccessException)
        {
            // The program has ended, or there is nothing to read.
        }
    }
}
