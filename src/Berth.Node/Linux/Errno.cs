namespace Berth.Node.Linux;

/// <summary>The error numbers that code decides on (asm-generic/errno.h; the same on x86_64 and arm64).</summary>
public static class Errno
{
    public const int PermissionRefused = 1;
    public const int NoEntry = 2;
    public const int NoSuchProcess = 3;
    public const int Interrupted = 4;
    public const int InputOutput = 5;
    public const int TryAgain = 11;
    public const int OutOfMemory = 12;
    public const int AccessDenied = 13;
    public const int Busy = 16;
    public const int Exists = 17;
    public const int NoDevice = 19;
    public const int NotDirectory = 20;
    public const int Invalid = 22;
    public const int NoSpace = 28;
    public const int BrokenPipe = 32;
    public const int NoSuchCall = 38;
    public const int NotEmpty = 39;
    public const int NotSupported = 95;
    public const int AddressInUse = 98;
    public const int NoAddress = 99;
    public const int ConnectionReset = 104;
    public const int InProgress = 115;
    public const int NoChild = 10;
}
