namespace Berth.Cli.Terminals;

/// <summary>The reader of our standard output has gone, as in <c>berth image ls | head -1</c>.</summary>
internal static class BrokenPipe
{
    /// <summary>EPIPE of errno(3), which .NET gives as the HResult of the IOException.</summary>
    public const int Errno = 32;

    /// <summary>128 + SIGPIPE, as a shell reports a program that the signal ended.</summary>
    public const int ExitCode = 141;
}
