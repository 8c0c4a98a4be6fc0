using System.Buffers;
using System.Globalization;
using System.Net;
using System.Text;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Forwarding;

/// <summary>Writes the head of a request to a program (RFC 9112). Nothing that could end a line gets into
/// one.</summary>
internal static class RequestHead
{
    /// <summary>What may stand in a target: no blank and nothing that is not ASCII.</summary>
    private static readonly SearchValues<char> TargetCharacters = SearchValues.Create(
        [.. Enumerable.Range('!', '~' - '!' + 1).Select(c => (char)c)]);

    private static readonly SearchValues<char> LineEnds = SearchValues.Create("\r\n\0");

    /// <exception cref="BerthException">InvalidRequest, for a target or header that can't be passed on.</exception>
    public static void Write(
        IBufferWriter<byte> to, HttpContext context, ForwardRoute route, bool hasBody, bool upgrades)
    {
        HttpRequest from = context.Request;
        if (route.Target.AsSpan().ContainsAnyExcept(TargetCharacters))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "The path or query has characters that no URL has: encode them as %XX.");
        }

        Put(to, from.Method);
        Put(to, " ");
        Put(to, route.Target);
        Put(to, " HTTP/1.1\r\n");
        Field(to, "Host", from.Host.Value ?? "localhost");
        IHeaderDictionary headers = from.Headers;
        StringValues connection = headers.Connection;
        foreach ((string name, StringValues values) in headers)
        {
            if (ForwardedFields.IsRequestField(name, connection))
            {
                foreach (string? value in values)
                {
                    Field(to, name, value);
                }
            }
        }

        WriteWay(to, from, route.Prefix);
        if (upgrades)
        {
            Field(to, "Connection", "Upgrade");
            Field(to, "Upgrade", headers.Upgrade);
        }

        if (hasBody)
        {
            if (from.ContentLength is { } length)
            {
                Field(to, "Content-Length", length.ToString(CultureInfo.InvariantCulture));
            }
            else
            {
                Field(to, "Transfer-Encoding", "chunked");
            }
        }
        else if (from.ContentLength == 0)
        {
            Field(to, "Content-Length", "0");
        }

        Put(to, "\r\n");
    }

    /// <summary>Where it came from.</summary>
    private static void WriteWay(IBufferWriter<byte> to, HttpRequest from, string prefix)
    {
        IPAddress? ip = from.HttpContext.Connection.RemoteIpAddress;
        string address = ip is null ? "unknown" : (ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip).ToString();
        StringValues before = from.Headers["X-Forwarded-For"];
        Field(to, "X-Forwarded-For", before.Count == 0 ? address : $"{before}, {address}");
        Field(to, "X-Forwarded-Proto", from.Scheme);
        Field(to, "X-Forwarded-Host", from.Host.Value);
        if (prefix.Length > 0)
        {
            Field(to, "X-Forwarded-Prefix", prefix);
        }
    }

    private static void Field(IBufferWriter<byte> to, string name, string? value)
    {
        if (value.AsSpan().ContainsAny(LineEnds))
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"The header {name} has a line end in it.");
        }

        Put(to, name);
        Put(to, ": ");
        Put(to, value);
        Put(to, "\r\n");
    }

    private static void Put(IBufferWriter<byte> to, string? text)
    {
        if (!string.IsNullOrEmpty(text))
        {
            Span<byte> room = to.GetSpan(Encoding.UTF8.GetMaxByteCount(text.Length));
            to.Advance(Encoding.UTF8.GetBytes(text, room));
        }
    }
}
