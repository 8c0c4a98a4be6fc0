using System.Runtime.InteropServices;

namespace Berth.Oci.Layers;

/// <summary>
/// Debian's libzstd.so.1, which dpkg itself needs (zstd.h of 1.5; the streaming interface is stable since 1.4).
/// </summary>
internal static unsafe partial class Zstd
{
    private const string Library = "libzstd.so.1";

    /// <summary>ZSTD_d_windowLogMax.</summary>
    internal const int WindowLogMax = 100;

    [LibraryImport(Library, EntryPoint = "ZSTD_createDCtx")]
    internal static partial nint CreateContext();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeDCtx")]
    internal static partial nuint FreeContext(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_DCtx_setParameter")]
    internal static partial nuint SetParameter(nint context, int parameter, int value);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompressStream")]
    internal static partial nuint Decompress(nint context, ref OutBuffer output, ref InBuffer input);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    internal static partial uint IsError(nuint code);

    [LibraryImport(Library, EntryPoint = "ZSTD_getErrorName")]
    internal static partial nint ErrorName(nuint code);

    internal static string Describe(nuint code) => Marshal.PtrToStringUTF8(ErrorName(code)) ?? "unknown error";

    [StructLayout(LayoutKind.Sequential)]
    internal struct InBuffer
    {
        internal byte* Source;
        internal nuint Size;
        internal nuint Position;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct OutBuffer
    {
        internal byte* Target;
        internal nuint Size;
        internal nuint Position;
    }
}
