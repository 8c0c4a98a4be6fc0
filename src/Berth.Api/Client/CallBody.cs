using System.Globalization;
using Berth.Core.Streams;

namespace Berth.Api.Client;

/// <summary>
/// The body of an answer, freed of its framing (RFC 9112, section 6). Reading to the end fills <see cref="Trailers"/>;
/// a body that breaks off throws IOException, so that a torn answer never passes for a whole one.
/// </summary>
internal class CallBody : SequentialStream
{
    private readonly CallConnection connection;
    private readonly bool chunked;
    private bool first = true;
    private bool ended;

    /// <summary>Bytes left of the body or of the current chunk; null when only the connection's end ends it.</summary>
    private long? left;

    public CallBody(CallConnection connection, ResponseHead head)
    {
        this.connection = connection;
        chunked = head["Transfer-Encoding"]?.EndsWith("chunked", StringComparison.OrdinalIgnoreCase) == true;
        left = chunked ? 0
            : long.TryParse(head["Content-Length"], NumberStyles.None, CultureInfo.InvariantCulture, out long length)
                ? length
                : null;
        ended = head.Status is 204 or 304 || (!chunked && left == 0);
    }

    protected CallConnection Connection => connection;

    public Dictionary<string, string> Trailers { get; private set; } = [];

    public bool IsWhole => ended;

    public override bool CanRead => true;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (ended || buffer.IsEmpty)
        {
            return 0;
        }

        if (chunked && left == 0)
        {
            await NextChunkAsync(cancellationToken);
            if (ended)
            {
                return 0;
            }
        }

        int want = (int)Math.Min(left ?? long.MaxValue, buffer.Length);
        int read = await connection.ReadAsync(buffer[..want], cancellationToken);
        if (read == 0 && left is not null)
        {
            throw new IOException("The answer broke off before its end.");
        }

        left -= read;
        ended = left is null ? read == 0 : left == 0 && !chunked;
        return read;
    }

    private async Task NextChunkAsync(CancellationToken cancellationToken)
    {
        if (!first)
        {
            await connection.ReadLineAsync(cancellationToken);
        }

        first = false;
        string size = (await connection.ReadLineAsync(cancellationToken)).Split(';')[0].Trim();
        if (
            !long.TryParse(size, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long length)
                || length < 0)
        {
            throw new IOException("The answer's framing is broken.");
        }

        left = length;
        if (length == 0)
        {
            List<string> lines = [];
            while (await connection.ReadLineAsync(cancellationToken) is { Length: > 0 } line && lines.Count < 100)
            {
                lines.Add(line);
            }

            Trailers = ResponseHead.ParseFields(lines);
            ended = true;
        }
    }
}
