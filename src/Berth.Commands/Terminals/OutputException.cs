namespace Berth.Commands.Terminals;

/// <summary>Standard output can't be written: its reader has gone, as in <c>berth image ls | head -1</c>, or its disk
/// is full.</summary>
internal sealed class OutputException(Exception cause)
    : Exception("Standard output can't be written: " + cause.Message, cause)
{
    /// <summary>128 + SIGPIPE, as a shell reports a program that the signal ended.</summary>
    public const int PipeExitCode = 141;

    /// <summary>EX_IOERR of sysexits.h.</summary>
    public const int FaultExitCode = 74;

    /// <summary>EPIPE of errno(3), which .NET gives as the HResult.</summary>
    private const int PipeErrno = 32;

    /// <summary>Found before anything was written.</summary>
    public static OutputException NobodyReads => new(new IOException("Broken pipe", PipeErrno));

    public int ExitCode => IsBrokenPipe ? PipeExitCode : FaultExitCode;

    /// <summary>Nobody is to be told of it.</summary>
    public bool IsBrokenPipe => InnerException!.HResult == PipeErrno;
}
