using Berth.Core.Errors;
using Berth.Core.Streams;
using Berth.Oci.Content;

namespace Berth.Oci.Layers;

/// <summary>
/// Decompresses zstd frames one after the other, skippable ones passed over (RFC 8878). A frame may ask for a window of
/// 8 MiB at most, which the RFC tells every decoder to support, so that memory stays bounded.
/// </summary>
internal sealed unsafe class ZstdStream : SequentialStream
{
    private const int MaxWindowLog = 23;

    private readonly Stream source;
    private readonly byte[] input = new byte[128 * 1024];
    private nint context;
    private int inputAt;
    private int inputEnd;
    private bool frameOpen;

    internal ZstdStream(Stream source)
    {
        this.source = source;
        try
        {
            context = Zstd.CreateContext();
        }
        catch (DllNotFoundException e)
        {
            throw new BerthException(
                ErrorCode.MissingTool,
                "A layer is compressed with zstd, but libzstd.so.1 is missing: apt-get install libzstd1.", e);
        }

        Check(Zstd.SetParameter(context, Zstd.WindowLogMax, MaxWindowLog));
    }

    public override bool CanRead => true;

    public override int Read(Span<byte> buffer)
    {
        ObjectDisposedException.ThrowIf(context == 0, this);
        while (!buffer.IsEmpty)
        {
            if (inputAt == inputEnd)
            {
                inputAt = 0;
                inputEnd = source.Read(input);
                if (inputEnd == 0 && !frameOpen)
                {
                    return 0;
                }
            }

            bool ended = inputEnd == 0;
            int written = Decompress(buffer);
            if (written > 0)
            {
                return written;
            }

            if (ended)
            {
                throw new InvalidDataException("the zstd data is cut off");
            }
        }

        return 0;
    }

    protected override void Dispose(bool disposing)
    {
        if (context != 0)
        {
            _ = Zstd.FreeContext(context);
            context = 0;
        }

        if (disposing)
        {
            source.Dispose();
        }

        base.Dispose(disposing);
    }

    private static nuint Check(nuint code) => Zstd.IsError(code) == 0
        ? code
        : throw new InvalidDataException(
            $"the zstd data can't be decompressed ({Zstd.Describe(code)}); a window of at most "
                + $"{1 << (MaxWindowLog - 20)} MiB is accepted");

    private int Decompress(Span<byte> buffer)
    {
        fixed (byte* i = input)
        fixed (byte* o = buffer)
        {
            var from = new Zstd.InBuffer { Source = i, Size = (nuint)inputEnd, Position = (nuint)inputAt };
            var to = new Zstd.OutBuffer { Target = o, Size = (nuint)buffer.Length };
            frameOpen = Check(Zstd.Decompress(context, ref to, ref from)) != 0;
            inputAt = (int)from.Position;
            return (int)to.Position;
        }
    }
}
