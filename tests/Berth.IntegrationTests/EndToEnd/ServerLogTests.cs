using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The server's own log, as an operator's tools read it.</summary>
[Collection("server")]
public sealed class ServerLogTests
{
    private const string TraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

    [Fact]
    public async Task Every_line_of_a_structured_log_is_a_document_and_a_requests_lines_bear_its_trace()
    {
        await using ServerProcess server = new();
        await server.StartAsync("--log-format", "json", "--log-level", "debug");

        await SendBrokenUploadAsync(server);
        await Condition.HoldsAsync("the log tells of it", () => server.Log.Contains("sent a broken body"));
        await server.StopAsync();

        JsonElement[] lines =
        [
            .. server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => JsonDocument.Parse(line).RootElement),
        ];
        Assert.All(lines, line =>
        {
            Assert.True(line.GetProperty("Timestamp").TryGetDateTimeOffset(out _), line.ToString());
            Assert.Contains(
                line.GetProperty("LogLevel").GetString(), (string[])["Debug", "Information", "Warning", "Error"]);
            Assert.False(string.IsNullOrEmpty(line.GetProperty("Category").GetString()), line.ToString());
            Assert.False(string.IsNullOrEmpty(line.GetProperty("Message").GetString()), line.ToString());
        });
        JsonElement told = lines.Single(line => Message(line).Contains("sent a broken body"));
        Assert.Equal(TraceId, Scope(told, "TraceId"));
        Assert.StartsWith("/v2/demo/log/blobs/uploads/", Scope(told, "RequestPath"));
        Assert.Contains(lines, line => Message(line).Contains("listens on"));
    }

    private static string Message(JsonElement line) => line.GetProperty("Message").GetString()!;

    private static string? Scope(JsonElement line, string name) => line.GetProperty("Scopes").EnumerateArray()
        .Where(scope => scope.TryGetProperty(name, out _))
        .Select(scope => scope.GetProperty(name).GetString()).Single();

    /// <summary>An upload whose body is no chunked body.</summary>
    private static async Task SendBrokenUploadAsync(ServerProcess server)
    {
        using HttpResponseMessage begun = await server.Http.PostAsync(
            new Uri("/v2/demo/log/blobs/uploads/", UriKind.Relative), null);
        using TcpClient client = new();
        await client.ConnectAsync("127.0.0.1", server.Port);
        await using NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"PATCH {begun.Headers.Location} HTTP/1.1\r\nHost: berth\r\nAuthorization: Bearer {server.Token}\r\n"
            + $"traceparent: 00-{TraceId}-00f067aa0ba902b7-01\r\nConnection: close\r\n"
            + "Transfer-Encoding: chunked\r\n\r\nno chunk\r\n"));
        using StreamReader answer = new(stream);
        Assert.StartsWith("HTTP/1.1 400 ", await answer.ReadLineAsync());
    }
}
