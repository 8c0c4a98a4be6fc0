using System.Buffers;
using System.Net;
using System.Text;
using Berth.Core.Errors;
using Berth.Server.Calls;
using Berth.Server.Forwarding;
using Berth.Server.Hosting;
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
    [InlineData("X-Real-IP", "192.0.2.9")]
    [InlineData("X-Forwarded-User", "somebody-else")]
    [InlineData("x-forwarded-port", "54321")]
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
        Assert.Contains("\r\nX-Forwarded-For: 198.51.100.7\r\n", head, StringComparison.Ordinal);
        Assert.DoesNotContain("192.0.2.9", head, StringComparison.Ordinal);
        Assert.DoesNotContain("forged", head, StringComparison.Ordinal);
        Assert.DoesNotContain("gopher", head, StringComparison.Ordinal);
    }

    /// <summary>The peer is 198.51.100.7, and proxies are that one and 10.0.0.0/8.</summary>
    [Theory]
    [InlineData("", "198.51.100.7")]
    [InlineData("192.0.2.9", "192.0.2.9, 198.51.100.7")]
    [InlineData("192.0.2.9, 10.0.0.1", "192.0.2.9, 10.0.0.1, 198.51.100.7")]
    [InlineData("203.0.113.5, 192.0.2.9, 10.0.0.1", "192.0.2.9, 10.0.0.1, 198.51.100.7")]
    [InlineData("10.0.0.2,192.0.2.9", "192.0.2.9, 198.51.100.7")]
    [InlineData("10.0.0.2, ::ffff:10.0.0.3", "10.0.0.2, ::ffff:10.0.0.3, 198.51.100.7")]
    [InlineData("203.0.113.5, unknown", "unknown, 198.51.100.7")]
    [InlineData(" , ,", "198.51.100.7")]
    public void A_trusted_proxy_tells_whose_request_it_was_and_what_that_one_claimed_before_is_left_out(
        string written, string expected)
    {
        string head = Write(request =>
        {
            Trust(request);
            request.Headers["X-Forwarded-For"] = written;
            request.Headers["X-Forwarded-Proto"] = "https";
            request.Headers["X-Forwarded-Host"] = "public.example";
            request.Headers["X-Forwarded-User"] = "ada";
            request.Headers["X-Forwarded-Prefix"] = "/forged";
            request.Headers["Forwarded"] = "for=192.0.2.9";
        });

        Assert.Contains($"\r\nX-Forwarded-For: {expected}\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-Forwarded-Proto: https\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-Forwarded-Host: public.example\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-Forwarded-User: ada\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nX-Forwarded-Prefix: /v1/functions/f\r\n", head, StringComparison.Ordinal);
        Assert.DoesNotContain("\r\nForwarded:", head, StringComparison.Ordinal);
    }

    [Fact]
    public void A_trusted_proxy_can_name_no_scheme_but_the_webs()
    {
        string head = Write(request =>
        {
            Trust(request);
            request.Headers["X-Forwarded-Proto"] = "gopher";
        });

        Assert.Contains("\r\nX-Forwarded-Proto: http\r\n", head, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("198.51.100.8", "http", true)]
    [InlineData("198.51.100.8", "https", false)]
    [InlineData("198.51.100.7", "https", true)]
    [InlineData("::ffff:198.51.100.7", "https", true)]
    [InlineData("198.51.100.7", "ftp", false)]
    [InlineData(null, "https", false)]
    public void Another_scheme_than_the_connections_is_a_trusted_proxys_to_send(string? peer, string scheme, bool taken)
    {
        DefaultHttpContext context = new();
        context.Request.Scheme = scheme;
        context.Connection.RemoteIpAddress = peer is null ? null : IPAddress.Parse(peer);

        BerthException? refusal = (BerthException?)Record.Exception(() => Proxies.Check(context));

        Assert.Equal(taken ? (ErrorCode?)null : ErrorCode.InvalidRequest, refusal?.Code);
    }

    /// <summary>Programs whose calls are programs are told in variables.</summary>
    [Fact]
    public void A_programs_variables_have_a_requests_way_from_a_trusted_proxy_alone()
    {
        DefaultHttpContext context = new();
        context.Request.Scheme = "http";
        context.Connection.RemoteIpAddress = IPAddress.Parse("198.51.100.7");
        context.Request.Headers["X-Forwarded-For"] = "192.0.2.9";
        context.Request.Headers["X-Real-IP"] = "192.0.2.9";
        context.Request.Headers["X-Mine"] = "1";

        Dictionary<string, string> before = CgiVariables.Of(context.Request);
        Trust(context.Request);
        Dictionary<string, string> after = CgiVariables.Of(context.Request);

        Assert.Equal((false, false, "1"), (
            before.ContainsKey("HTTP_X_FORWARDED_FOR"), before.ContainsKey("HTTP_X_REAL_IP"), before["HTTP_X_MINE"]));
        Assert.Equal("192.0.2.9", after["HTTP_X_FORWARDED_FOR"]);
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

    private static TrustedProxies Proxies { get; } = new(
        [IPNetwork.Parse("198.51.100.7/32"), IPNetwork.Parse("10.0.0.0/8")], "http");

    private static void Trust(HttpRequest request) => Proxies.Check(request.HttpContext);

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
