using System.Buffers;
using System.Net;
using System.Text;
using Berth.Core.Errors;
using Berth.Server.Forwarding;
using Berth.Server.Rollouts;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Berth.Tests.Forwarding;

/// <summary>What of a request a program gets to see, and what no caller can slip into it.</summary>
public sealed class RequestHeadTests
{
    [Theory]
    [InlineData("Connection", "keep-alive")]
    [InlineData("Keep-Alive", "timeout=5")]
    [InlineData("Proxy-Connection", "keep-alive")]
    [InlineData("Proxy-Authorization", "Basic eA==")]
    [InlineData("TE", "trailers")]
    [InlineData("Trailer", "X-Sum")]
    [InlineData("Transfer-Encoding", "gzip")]
    [InlineData("Upgrade", "h2c")]
    [InlineData("HTTP2-Settings", "AAMAAABk")]
    [InlineData("Authorization", "Bearer a-token")]
    [InlineData("Berth-Timeout", "5s")]
    [InlineData("Berth-Instance", "forged")]
    [InlineData("Expect", "100-continue")]
    [InlineData("Forwarded", "for=192.0.2.9")]
    public void What_is_between_caller_and_server_alone_does_not_pass(string name, string value)
    {
        string head = Write(request => request.Headers[name] = value);

        Assert.DoesNotContain($"\r\n{name}:", head, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(value, head, StringComparison.Ordinal);
    }

    [Fact]
    public void Headers_that_the_connection_names_do_not_pass()
    {
        string head = Write(request =>
        {
            request.Headers.Connection = "close, X-Hop";
            request.Headers["X-Hop"] = "1";
            request.Headers["X-End"] = "2";
        });

        Assert.DoesNotContain("X-Hop", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-End: 2\r\n", head, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_caller_says_of_its_way_is_set_anew()
    {
        string head = Write(request =>
        {
            request.Headers["X-Forwarded-Host"] = "forged.example";
            request.Headers["X-Forwarded-Proto"] = "gopher";
            request.Headers["X-Forwarded-Prefix"] = "/forged";
            request.Headers["X-Forwarded-For"] = "192.0.2.9";
        });

        Assert.Contains("\r\nX-Forwarded-Host: berth.example\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-Forwarded-Proto: http\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-Forwarded-Prefix: /v1/functions/f\r\n", head, StringComparison.Ordinal);
        // The last is the one that Berth saw; those before it are hearsay.
        Assert.Contains("\r\nX-Forwarded-For: 192.0.2.9, 198.51.100.7\r\n", head, StringComparison.Ordinal);
        Assert.DoesNotContain("forged", head, StringComparison.Ordinal);
        Assert.DoesNotContain("gopher", head, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a\r\nX-Other: b")]
    [InlineData("a\nb")]
    [InlineData("a\0b")]
    public void A_value_with_the_end_of_a_line_is_refused(string value)
    {
        BerthException refusal = Assert.Throws<BerthException>(() => Write(r => r.Headers["X-Mine"] = value));

        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        Assert.Contains("X-Mine", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/a b")]
    [InlineData("/a\r\nX: y")]
    [InlineData("/\u00e4")]
    public void A_target_that_is_none_is_refused(string target) => Assert.Equal(
        ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => Write(_ => { }, target)).Code);

    [Theory]
    [InlineData(5L, true, "\r\nContent-Length: 5\r\n")]
    [InlineData(null, true, "\r\nTransfer-Encoding: chunked\r\n")]
    [InlineData(0L, false, "\r\nContent-Length: 0\r\n")]
    [InlineData(null, false, null)]
    public void The_body_has_one_length(long? length, bool hasBody, string? expected)
    {
        string head = Write(request => request.ContentLength = length, hasBody: hasBody);

        string[] framing =
        [
            .. head.Split("\r\n").Where(
                l => l.StartsWith("Content-Length", StringComparison.Ordinal)
                    || l.StartsWith("Transfer-Encoding", StringComparison.Ordinal)),
        ];
        Assert.Equal(expected is null ? [] : [expected.Trim()], framing);
    }

    private static string Write(Action<HttpRequest> with, string target = "/a?b=c", bool hasBody = false)
    {
        DefaultHttpContext context = new();
        context.Request.Method = "POST";
        context.Request.Scheme = "http";
        context.Request.Host = new HostString("berth.example");
        context.Connection.RemoteIpAddress = IPAddress.Parse("198.51.100.7");
        with(context.Request);
        ArrayBufferWriter<byte> head = new();
        ForwardRoute route = new(
            Pool: null!, new RevisionKey("f", 1), target, "/v1/functions/f", TimeSpan.FromSeconds(1), "caller");
        RequestHead.Write(head, context, route, hasBody, upgrades: false);
        string text = Encoding.UTF8.GetString(head.WrittenSpan);
        Assert.StartsWith("POST /a?b=c HTTP/1.1\r\nHost: berth.example\r\n", text, StringComparison.Ordinal);
        Assert.EndsWith("\r\n\r\n", text, StringComparison.Ordinal);
        return text[..^4] + "\r\n";
    }
}
