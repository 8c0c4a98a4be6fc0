using System.Runtime.InteropServices;

namespace Berth.Testing.Layers;

/// <summary>Compresses with the system's libzstd, which the program itself never does.</summary>
public static partial class ZstdCompressor
{
    private const string Library = "libzstd.so.1";
    private const int WindowLog = 101; // ZSTD_c_windowLog

    /// <param name="windowLog">The frame asks its reader for a window of two to this power; 0 for the default.</param>
    public static byte[] Compress(byte[] bytes, int windowLog = 0)
    {
        nint context = CreateContext();
        try
        {
            Check(SetParameter(context, WindowLog, windowLog));
            byte[] output = new byte[(int)Bound((nuint)bytes.Length)];
            nuint length = Check(
                Compress2(context, output, (nuint)output.Length, bytes, (nuint)bytes.Length));
            return output[..(int)length];
        }
        finally
        {
            _ = FreeContext(context);
        }
    }

    private static nuint Check(nuint code) =>
        IsError(code) == 0 ? code : throw new InvalidOperationException($"zstd error {code}");

    [LibraryImport(Library, EntryPoint = "ZSTD_createCCtx")]
    private static partial nint CreateContext();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeCCtx")]
    private static partial nuint FreeContext(nint context);

    [LibraryImport(Library, EntryPoint = "ZSTD_CCtx_setParameter")]
    private static partial nuint SetParameter(nint context, int parameter, int value);

    [LibraryImport(Library, EntryPoint = "ZSTD_compressBound")]
    private static partial nuint Bound(nuint size);

    [LibraryImport(Library, EntryPoint = "ZSTD_compress2")]
    private static partial nuint Compress2(nint context, byte[] target, nuint capacity, byte[] source, nuint size);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint code);
}
