using System.Runtime.InteropServices;
using System.Text;
using Berth.Core.Errors;

namespace Berth.Oci.Unix;

/// <summary>Error numbers that are told apart here (asm-generic/errno.h).</summary>
internal enum Errno
{
    None = 0,
    NoEntry = 2,
    Interrupted = 4,
    TooBig = 7,
    Exists = 17,
    NotFolder = 20,
    IsFolder = 21,
    Invalid = 22,
    NoSpace = 28,
    TooManyLinks = 31,
    Range = 34,
    NotEmpty = 39,
    Loop = 40,
    NoData = 61,
    NotSupported = 95,
    Quota = 122,
}

/// <summary>Turns errno into an exception that names the call and the path.</summary>
internal static class UnixError
{
    internal static Errno Last => (Errno)Marshal.GetLastPInvokeError();

    internal static Exception From(string call, string path) => From(Last, call, path);

    internal static Exception From(Errno error, string call, string path)
    {
        string text = $"{call} of '{path}' failed: {Marshal.GetPInvokeErrorMessage((int)error)} (errno {(int)error})";
        return error switch
        {
            Errno.NoSpace or Errno.Quota => new BerthException(
                ErrorCode.StorageFull, $"{text}. Free space on that file system, or remove images.",
                new IOException(text)),
            Errno.NotSupported => new BerthException(
                ErrorCode.InvalidConfiguration,
                $"{text}. The data folder needs a file system with extended attributes, such as ext4 or xfs."),
            Errno.NoEntry => new FileNotFoundException(text),
            _ => new IOException(text, (int)error),
        };
    }

    internal static Exception From(string call, ReadOnlySpan<byte> name) =>
        From(Last, call, Encoding.UTF8.GetString(name));
}
