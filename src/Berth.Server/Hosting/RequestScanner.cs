using System.Buffers;
using System.Globalization;
using System.Text;

namespace Berth.Server.Hosting;

/// <summary>
/// Follows the framing of the requests on an HTTP/1.1 connection (RFC 9112) and finds what two readers could take for
/// two different messages, although Kestrel accepts it: a line that ends without a carriage return, and a
/// Content-Length that is not digits alone; and what Kestrel fails on instead of refusing it, a trailer that is
/// not plain text. Everything else that is wrong is left to Kestrel, which refuses it and
/// closes, and so ends the scan.
/// </summary>
internal sealed class RequestScanner
{
    /// <summary>Longer than any header line that matters here, were it not padded.</summary>
    private const int KeptOfLine = 64;

    private const int MaxDigits = 18;

    /// <summary>Visible ASCII, blanks, and the end of the line.</summary>
    private static readonly SearchValues<byte> PlainText = SearchValues.Create(
        [(byte)'\t', (byte)'\r', .. Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (byte)c)]);

    private readonly byte[] line = new byte[KeptOfLine];
    private State state = State.Start;
    private int lineLength;
    private byte last;
    private bool isStrange;
    private long remaining;
    private long? length;
    private bool isChunked;
    private bool changesProtocol;

    private enum State
    {
        /// <summary>Before a request's first line, where empty lines may stand.</summary>
        Start,
        Header,
        Body,
        ChunkSize,
        ChunkData,
        ChunkEnd,
        Trailer,

        /// <summary>No more of this connection is looked at.</summary>
        Done,
    }

    /// <summary>Takes what comes next.</summary>
    /// <returns>Where the line begins that makes the request ambiguous, as an offset from the beginning of these bytes:
    /// negative when it began in earlier ones. Null when there is none.</returns>
    public int? Take(ReadOnlySpan<byte> bytes)
    {
        int at = 0;
        while (at < bytes.Length && state != State.Done)
        {
            if (state is State.Body or State.ChunkData)
            {
                at += Skip(bytes.Length - at);
                continue;
            }

            int end = bytes[at..].IndexOf((byte)'\n');
            ReadOnlySpan<byte> part = end < 0 ? bytes[at..] : bytes.Slice(at, end);
            Keep(part);
            at += part.Length;
            if (end >= 0)
            {
                if (!TryEndLine())
                {
                    state = State.Done;
                    return at - lineLength;
                }

                at++;
                (lineLength, isStrange) = (0, false);
            }
        }

        return null;
    }

    private int Skip(int available)
    {
        int count = (int)Math.Min(available, remaining);
        remaining -= count;
        if (remaining == 0)
        {
            state = state == State.Body ? State.Start : State.ChunkEnd;
        }

        return count;
    }

    private void Keep(ReadOnlySpan<byte> part)
    {
        if (lineLength < KeptOfLine)
        {
            part[..Math.Min(part.Length, KeptOfLine - lineLength)].CopyTo(line.AsSpan(lineLength));
        }

        lineLength += part.Length;
        isStrange |= state == State.Trailer && part.ContainsAnyExcept(PlainText);
        if (!part.IsEmpty)
        {
            last = part[^1];
        }
    }

    /// <summary>False when the line is ambiguous.</summary>
    private bool TryEndLine()
    {
        if (lineLength == 0 || last != (byte)'\r')
        {
            // Between chunks Kestrel refuses it.
            bool isAmbiguous = state is State.Start or State.Header or State.Trailer;
            state = State.Done;
            return !isAmbiguous;
        }

        ReadOnlySpan<byte> text = line.AsSpan(0, Math.Min(lineLength - 1, KeptOfLine));
        switch (state)
        {
            case State.Start when lineLength > 1:
                BeginRequest();
                break;
            case State.Header when lineLength == 1:
                EndHeader();
                break;
            case State.Header:
                return TryTakeHeader(text);
            case State.ChunkSize:
                BeginChunk(text);
                break;
            case State.ChunkEnd:
                state = lineLength == 1 ? State.ChunkSize : State.Done;
                break;
            case State.Trailer when lineLength == 1:
                state = State.Start;
                break;
            case State.Trailer:
                return !isStrange;
        }

        return true;
    }

    private void BeginRequest()
    {
        (length, isChunked, changesProtocol) = (null, false, false);
        state = State.Header;
    }

    private void EndHeader()
    {
        remaining = length ?? 0;
        state = changesProtocol || (isChunked && length is not null) ? State.Done
            : isChunked ? State.ChunkSize
            : remaining > 0 ? State.Body
            : State.Start;
    }

    private bool TryTakeHeader(ReadOnlySpan<byte> text)
    {
        int colon = text.IndexOf((byte)':');
        ReadOnlySpan<byte> name = colon < 0 ? text : text[..colon];
        ReadOnlySpan<byte> value = colon < 0 ? default : text[(colon + 1)..].Trim(" \t"u8);
        bool isWhole = lineLength - 1 <= KeptOfLine;
        if (Ascii.EqualsIgnoreCase(name, "content-length"u8))
        {
            if (!isWhole || length is not null || !TryParse(value, out long parsed))
            {
                return false;
            }

            length = parsed;
        }
        else if (Ascii.EqualsIgnoreCase(name, "transfer-encoding"u8))
        {
            // Others than one "chunked" are refused before the body is read, and the connection closed.
            changesProtocol |= !isWhole || isChunked || !Ascii.EqualsIgnoreCase(value, "chunked"u8);
            isChunked = true;
        }
        else if (Ascii.EqualsIgnoreCase(name, "upgrade"u8))
        {
            changesProtocol = true;
        }

        return true;
    }

    private void BeginChunk(ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)';');
        ReadOnlySpan<byte> digits = end < 0 ? text : text[..end];
        if (!long.TryParse(digits.TrimEnd((byte)' '), NumberStyles.AllowHexSpecifier, null, out remaining)
            || remaining < 0)
        {
            state = State.Done;
            return;
        }

        state = remaining == 0 ? State.Trailer : State.ChunkData;
    }

    private static bool TryParse(ReadOnlySpan<byte> value, out long parsed)
    {
        parsed = 0;
        return value.Length is > 0 and <= MaxDigits
            && !value.ContainsAnyExceptInRange((byte)'0', (byte)'9')
            && long.TryParse(value, NumberStyles.None, null, out parsed);
    }
}
