using System.Buffers;
using System.Globalization;
using System.Text;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Hosting;
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
        Begin(to, from.Method, route.Target);
        EachField(from, route.Prefix, to, static (to, name, value) => Field(to, name, value));
        if (route.Authorizes)
        {
            Field(to, "Authorization", from.Headers.Authorization);
        }

        if (upgrades)
        {
            Field(to, "Connection", "Upgrade");
            Field(to, "Upgrade", from.Headers.Upgrade);
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

    /// <summary>The head of a request that was kept.</summary>
    /// <param name="own">What Berth itself tells the program.</param>
    /// <param name="length">Of the body.</param>
    public static void Write(IBufferWriter<byte> to, ServiceCall call, IEnumerable<HeaderField> own, long length)
    {
        Begin(to, call.Method, call.Target);
        foreach (HeaderField field in call.Fields.Concat(own))
        {
            Field(to, field.Name, field.Value);
        }

        // RFC 9110, section 8.6: methods that mean nothing by a body say nothing of one that is empty.
        if (length > 0 || call.Method is not ("GET" or "HEAD" or "DELETE" or "OPTIONS"))
        {
            Field(to, "Content-Length", length.ToString(CultureInfo.InvariantCulture));
        }

        Put(to, "\r\n");
    }

    /// <summary>A request that is to be sent later.</summary>
    /// <param name="prefix">As <see cref="ForwardRoute.Prefix"/>.</param>
    /// <param name="withheld">Headers that say something to Berth alone.</param>
    /// <exception cref="BerthException">InvalidRequest, as when it is written.</exception>
    public static ServiceCall Keep(
        HttpRequest from, string function, int revision, string target, string prefix, IReadOnlySet<string> withheld)
    {
        List<HeaderField> fields = [];
        EachField(from, prefix, (fields, withheld), static (kept, name, value) =>
        {
            if (!kept.withheld.Contains(name))
            {
                kept.fields.Add(new HeaderField(name, value ?? ""));
            }
        });

        ServiceCall call = new(function, revision, from.Method, target, fields);
        // What can't be written is refused now, when there is somebody to tell.
        Write(new ArrayBufferWriter<byte>(), call, [], 0);
        return call;
    }

    private static void Begin(IBufferWriter<byte> to, string method, string target)
    {
        if (target.AsSpan().ContainsAnyExcept(TargetCharacters))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "The path or query has characters that no URL has: encode them as %XX.");
        }

        Put(to, method);
        Put(to, " ");
        Put(to, target);
        Put(to, " HTTP/1.1\r\n");
    }

    /// <summary>The caller's headers, with where the request came from.</summary>
    private static void EachField<T>(HttpRequest from, string prefix, T to, Action<T, string, string?> take)
    {
        take(to, "Host", from.Host.Value ?? "localhost");
        IHeaderDictionary headers = from.Headers;
        StringValues connection = headers.Connection;
        RequestWay way = RequestWay.Of(from);
        foreach ((string name, StringValues values) in headers)
        {
            if (ForwardedFields.IsRequestField(name, connection, way.IsTold))
            {
                foreach (string? value in values)
                {
                    take(to, name, value);
                }
            }
        }

        take(to, "X-Forwarded-For", way.For);
        take(to, "X-Forwarded-Proto", way.Scheme);
        take(to, "X-Forwarded-Host", way.Host);
        if (prefix.Length > 0)
        {
            take(to, "X-Forwarded-Prefix", prefix);
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
