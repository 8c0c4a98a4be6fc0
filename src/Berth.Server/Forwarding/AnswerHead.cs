using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Forwarding;

/// <summary>How the body of an answer ends (RFC 9112, section 6.3).</summary>
internal enum AnswerFraming
{
    None,
    Length,
    Chunked,

    /// <summary>With the connection.</summary>
    Close,
}

/// <summary>Status and headers of a program's answer. Read strictly: two readings of one answer would let a program
/// slip its own text into the answers of others.</summary>
internal sealed class AnswerHead
{
    /// <summary>tchar of RFC 9110, section 5.6.2.</summary>
    private static readonly SearchValues<byte> NameBytes = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    /// <summary>Control characters but for the tab.</summary>
    private static readonly SearchValues<byte> BadValueBytes = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Where(b => b != '\t').Append(0x7f).Select(b => (byte)b)]);

    private static readonly string[] UsualNames =
    [
        "Content-Type", "Content-Length", "Date", "Server", "Connection", "Transfer-Encoding", "Cache-Control",
        "Content-Encoding", "Vary", "Set-Cookie", "Location", "ETag", "Last-Modified", "Keep-Alive",
    ];

    private readonly List<(string Name, string Value)> fields = [];

    public int Status { get; private set; }

    /// <summary>Name and value as they came, in their order.</summary>
    public IReadOnlyList<(string Name, string Value)> Fields => fields;

    public AnswerFraming Framing { get; private set; }

    /// <summary>Of the body, where <see cref="Framing"/> is Length.</summary>
    public long Length { get; private set; }

    /// <summary>Whether another request may follow on the connection.</summary>
    public bool KeepsConnection { get; private set; }

    /// <summary>The Connection header's words.</summary>
    public StringValues Connection { get; private set; }

    public string? Upgrade => fields.FirstOrDefault(f => Is(f.Name, "Upgrade")).Value;

    /// <param name="head">Status line and headers with the empty line after them.</param>
    /// <param name="method">Of the request: HEAD has no body in its answer.</param>
    /// <exception cref="IOException">It is no answer of HTTP/1.</exception>
    public static AnswerHead Parse(ReadOnlySpan<byte> head, string method)
    {
        AnswerHead answer = new();
        int end = head.IndexOf("\r\n"u8);
        bool isOld = answer.ParseStatus(head[..end]);
        for (head = head[(end + 2)..]; head.Length > 2; head = head[(end + 2)..])
        {
            end = head.IndexOf("\r\n"u8);
            answer.ParseField(head[..end]);
        }

        answer.Frame(method, isOld);
        return answer;
    }

    /// <summary>Lines of fields, as trailers are; for use without framing.</summary>
    public void ParseField(ReadOnlySpan<byte> line)
    {
        int colon = line.IndexOf((byte)':');
        ReadOnlySpan<byte> name = colon > 0 ? line[..colon] : default;
        if (name.IsEmpty || name.ContainsAnyExcept(NameBytes))
        {
            throw new IOException("its answer has a line that is no header");
        }

        ReadOnlySpan<byte> value = line[(colon + 1)..].Trim(" \t"u8);
        if (value.ContainsAny(BadValueBytes))
        {
            throw new IOException($"its answer's header {Encoding.ASCII.GetString(name)} has control characters");
        }

        fields.Add((NameOf(name), Encoding.Latin1.GetString(value)));
    }

    /// <summary>Puts status and headers into the caller's answer.</summary>
    public void CopyTo(HttpResponse response)
    {
        response.StatusCode = Status;
        IHeaderDictionary to = response.Headers;
        foreach ((string name, string value) in fields)
        {
            if (ForwardedFields.IsAnswerField(name, Connection))
            {
                to[name] = to.TryGetValue(name, out StringValues before) && IsRepeated(name)
                    ? StringValues.Concat(before, value)
                    : value;
            }
        }
    }

    /// <summary>Of what only one makes sense, the last counts; Content-Length was seen to be one.</summary>
    private static bool IsRepeated(string name) =>
        !Is(name, "Content-Length") && !Is(name, "Content-Type") && !Is(name, "Date") && !Is(name, "Server");

    /// <returns>Whether it is HTTP/1.0.</returns>
    private bool ParseStatus(ReadOnlySpan<byte> line)
    {
        // "HTTP/1.1 200" and perhaps a reason.
        if (line.Length < 12 || !(line.StartsWith("HTTP/1.1 "u8) || line.StartsWith("HTTP/1.0 "u8))
            || (line.Length > 12 && line[12] != ' ')
            || !int.TryParse(line[9..12], NumberStyles.None, CultureInfo.InvariantCulture, out int status)
            || status is < 100 or > 599)
        {
            throw new IOException("its answer is not HTTP/1.1");
        }

        Status = status;
        return line[7] == '0';
    }

    private void Frame(string method, bool isOld)
    {
        long? length = null;
        bool chunked = false;
        foreach ((string name, string value) in fields)
        {
            if (Is(name, "Content-Length"))
            {
                if (!long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out long read)
                    || (length is not null && length != read))
                {
                    throw new IOException($"its answer's Content-Length is '{value}'");
                }

                length = read;
            }
            else if (Is(name, "Transfer-Encoding"))
            {
                if (chunked || !Is(value, "chunked"))
                {
                    throw new IOException($"its answer's Transfer-Encoding is '{value}', and only chunked is known");
                }

                if (isOld)
                {
                    // RFC 9112, section 6.1: whoever said so can't have meant it.
                    throw new IOException("its answer has a Transfer-Encoding, which HTTP/1.0 does not know");
                }

                chunked = true;
            }
            else if (Is(name, "Connection"))
            {
                Connection = StringValues.Concat(Connection, value);
            }
        }

        if (chunked && length is not null)
        {
            throw new IOException("its answer has both Content-Length and Transfer-Encoding");
        }

        bool closes = ForwardedFields.Names(Connection, "close")
            || (isOld && !ForwardedFields.Names(Connection, "keep-alive"));
        Length = length ?? 0;
        Framing = method == "HEAD" || Status is < 200 or 204 or 304 ? AnswerFraming.None
            : chunked ? AnswerFraming.Chunked
            : length is not null ? AnswerFraming.Length
            : AnswerFraming.Close;
        KeepsConnection = !closes && Framing != AnswerFraming.Close;
    }

    private static string NameOf(ReadOnlySpan<byte> name)
    {
        foreach (string usual in UsualNames)
        {
            if (usual.Length == name.Length && Ascii.Equals(name, usual))
            {
                return usual;
            }
        }

        return Encoding.ASCII.GetString(name);
    }

    private static bool Is(string one, string other) => one.Equals(other, StringComparison.OrdinalIgnoreCase);
}
