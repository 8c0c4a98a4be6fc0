using Berth.Init.Protocol;

namespace Berth.Init;

/// <summary>
/// Why no program runs: a refusal when the image or the order is to blame, else a failure of the machine.
/// </summary>
internal sealed class InitException : Exception
{
    public InitException(RefusalReason refusal, int errno, string message)
        : base(message)
    {
        Refusal = refusal;
        Errno = errno;
    }

    public InitException(int errno, string message)
        : base(message) => Errno = errno;

    public RefusalReason? Refusal { get; }

    public int Errno { get; }
}
