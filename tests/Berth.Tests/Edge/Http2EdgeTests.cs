using System.Net.Sockets;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>Frames and headers that HTTP/2 forbids are refused, and floods of allowed ones end their connection or are
/// borne; nobody else notices.</summary>
public sealed class Http2EdgeTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    internal static readonly string[] Good =
        [":method: GET", ":scheme: http", ":authority: a", ":path: /healthz"];

    internal static readonly Dictionary<string, byte[]> Malformed = new()
    {
        ["name in capitals"] = Request([.. Good, "X-Upper: b"]),
        ["connection"] = Request([.. Good, "connection: close"]),
        ["keep-alive"] = Request([.. Good, "keep-alive: 5"]),
        ["proxy-connection"] = Request([.. Good, "proxy-connection: close"]),
        ["transfer-encoding"] = Request([.. Good, "transfer-encoding: chunked"]),
        ["upgrade"] = Request([.. Good, "upgrade: h2c"]),
        ["te of another kind"] = Request([.. Good, "te: gzip"]),
        ["pseudo header after an ordinary one"] = Request(
            ":method: GET", ":scheme: http", "x-a: b", ":authority: a", ":path: /healthz"),
        ["unknown pseudo header"] = Request([.. Good, ":invented: x"]),
        ["status in a request"] = Request([.. Good, ":status: 200"]),
        ["two paths"] = Request([.. Good, ":path: /readyz"]),
        ["two methods"] = Request([.. Good, ":method: POST"]),
        ["no path"] = Request(":method: GET", ":scheme: http", ":authority: a"),
        ["empty path"] = Request(":method: GET", ":scheme: http", ":authority: a", ":path: "),
        ["relative path"] = Request(":method: GET", ":scheme: http", ":authority: a", ":path: healthz"),
        ["no method"] = Request(":scheme: http", ":authority: a", ":path: /healthz"),
        ["no scheme"] = Request(":method: GET", ":authority: a", ":path: /healthz"),
        ["method that is no token"] = Request(":method: GE T", ":scheme: http", ":authority: a", ":path: /healthz"),
        ["authority with a path"] = Request(":method: GET", ":scheme: http", ":authority: a/b", ":path: /healthz"),
        ["line end in a value"] = Request([.. Good, "x-a: b\r\nx-c: d"]),
        ["zero byte in a value"] = Request([.. Good, "x-a: b\0c"]),
        ["line feed in a name"] = Request([.. Good, "x\na: b"]),
        ["blank in a name"] = Request([.. Good, "x a: b"]),
        ["empty name"] = Request([.. Good, ": b"]),
        ["zero byte in the path"] = Request(":method: GET", ":scheme: http", ":authority: a", ":path: /healthz%00"),
        ["length without a body"] = Request([.. Good, "content-length: 5"]),
        ["length of more than comes"] = [.. Open([.. Good, "content-length: 9"]), .. Body("hello")],
        ["length of less than comes"] = [.. Open([.. Good, "content-length: 3"]), .. Body("hello")],
        ["two lengths"] = Request([.. Good, "content-length: 0", "content-length: 1"]),
        ["length that is no number"] = Request([.. Good, "content-length: x"]),
        ["trailer with a pseudo header"] =
            [.. Open(Good), .. Http2Wire.Frame(Http2Wire.Headers, 5, 1, Http2Wire.Fields(":path: /readyz"))],
        ["trailer that does not end the stream"] =
            [.. Open(Good), .. Http2Wire.Frame(Http2Wire.Headers, 4, 1, Http2Wire.Fields("x-a: b"))],
        ["headers on stream 0"] = Http2Wire.Frame(Http2Wire.Headers, 5, 0, Http2Wire.Fields(Good)),
        ["headers on an even stream"] = Http2Wire.Frame(Http2Wire.Headers, 5, 2, Http2Wire.Fields(Good)),
        ["data on an idle stream"] = Http2Wire.Frame(Http2Wire.Data, 1, 1, 1, 2, 3),
        ["data on stream 0"] = Http2Wire.Frame(Http2Wire.Data, 1, 0, 1, 2, 3),
        ["padding longer than the frame"] = Http2Wire.Frame(Http2Wire.Headers, 0xd, 1, [200, 1, 2]),
        ["stream that depends on itself"] = Http2Wire.Frame(Http2Wire.Priority, 0, 1, [0, 0, 0, 1, 5]),
        ["reset of an idle stream"] = Http2Wire.Frame(Http2Wire.Reset, 0, 1, 0, 0, 0, 0),
        ["short reset"] = [.. Open(Good), .. Http2Wire.Frame(Http2Wire.Reset, 0, 1, 0, 0)],
        ["push from a client"] = Http2Wire.Frame(Http2Wire.PushPromise, 4, 1, 0, 0, 0, 2),
        ["short ping"] = Http2Wire.Frame(Http2Wire.Ping, 0, 0, 1),
        ["ping on a stream"] = Http2Wire.Frame(Http2Wire.Ping, 0, 1, new byte[8]),
        ["settings on a stream"] = Http2Wire.Frame(Http2Wire.Settings, 0, 1),
        ["settings of odd length"] = Http2Wire.Frame(Http2Wire.Settings, 0, 0, 0, 1, 0),
        ["acknowledgement with content"] = Http2Wire.Frame(Http2Wire.Settings, 1, 0, new byte[6]),
        ["window of 2 GiB in the settings"] = Http2Wire.Frame(Http2Wire.Settings, 0, 0, 0, 4, 0x80, 0, 0, 0),
        ["frame size of nothing in the settings"] = Http2Wire.Frame(Http2Wire.Settings, 0, 0, 0, 5, 0, 0, 0, 1),
        ["window update of nothing"] = Http2Wire.Frame(Http2Wire.WindowUpdate, 0, 0, 0, 0, 0, 0),
        ["windows that add up too far"] =
        [
            .. Http2Wire.Frame(Http2Wire.WindowUpdate, 0, 0, 0x7f, 255, 255, 255),
            .. Http2Wire.Frame(Http2Wire.WindowUpdate, 0, 0, 0x7f, 255, 255, 255),
        ],
        ["continuation of nothing"] = Http2Wire.Frame(Http2Wire.Continuation, 4, 1, Http2Wire.Fields(Good)),
        ["another frame in the middle of headers"] =
        [
            .. Http2Wire.Frame(Http2Wire.Headers, 1, 1, Http2Wire.Fields(Good)),
            .. Http2Wire.Frame(Http2Wire.Ping, 0, 0, new byte[8]),
        ],
        ["field of an index that is none"] = Http2Wire.Frame(Http2Wire.Headers, 5, 1, 0xff, 0xff, 0xff, 0x7f),
        ["index past 32 bits"] = Http2Wire.Frame(Http2Wire.Headers, 5, 1, [0xff, .. Enumerable.Repeat((byte)255, 20)]),
        ["field longer than its block"] = Http2Wire.Frame(Http2Wire.Headers, 5, 1, 0, 10, (byte)'a'),
        ["table of a gigabyte"] = Http2Wire.Frame(Http2Wire.Headers, 5, 1, 0x3f, 0xff, 0xff, 0xff, 0xff, 3),
        ["frame longer than allowed"] = Http2Wire.Frame(Http2Wire.Headers, 5, 1, new byte[70_000]),
        ["field of 300,000 bytes"] = Large(),
    };

    public static TheoryData<string> Names => [.. Malformed.Keys];

    private ServerRig Rig => fixture.Rig;

    [Theory]
    [MemberData(nameof(Names))]
    public async Task What_is_forbidden_is_refused(string name)
    {
        await using Http2Wire wire = await Http2Wire.OpenAsync(Rig);
        await wire.SendAsync(Malformed[name]);

        string outcome = await wire.OutcomeAsync();
        if (outcome == "200")
        {
            // What was well-formed before it may be answered first.
            outcome = await wire.OutcomeAsync();
        }

        Assert.Contains(outcome, (string[])["refused", "closed", "400", "4xx"]);
    }

    [Fact]
    public async Task What_is_allowed_is_answered()
    {
        await using Http2Wire wire = await Http2Wire.OpenAsync(Rig);
        await wire.SendAsync(Request([.. Good, "te: trailers", "content-length: 0"]));

        Assert.Equal("200", await wire.OutcomeAsync());
    }

    public static TheoryData<string> Floods => ["resets", "settings", "pings", "continuations", "priorities", "empty"];

    [Theory]
    [MemberData(nameof(Floods))]
    public async Task A_flood_is_ended_or_borne_and_nobody_else_waits(string kind)
    {
        await using Http2Wire wire = await Http2Wire.OpenAsync(Rig);
        Task reading = ReadAllAsync(wire);
        try
        {
            for (uint i = 0; i < 20_000 && !reading.IsCompleted; i++)
            {
                await wire.SendAsync(Drop(kind, (2 * i) + 1));
            }
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            // It was ended.
        }

        using HttpResponseMessage other = await Rig.GetAsync("/healthz");
        Assert.True(other.IsSuccessStatusCode);
        if (kind == "continuations")
        {
            await reading;
        }
    }

    private static async Task ReadAllAsync(Http2Wire wire)
    {
        try
        {
            while (await wire.ReadAsync() is { Type: not Http2Wire.GoAway })
            {
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException)
        {
        }
    }

    private static byte[] Drop(string kind, uint stream) => kind switch
    {
        "resets" =>
        [
            .. Http2Wire.Frame(Http2Wire.Headers, 5, stream, Http2Wire.Fields(Good)),
            .. Http2Wire.Frame(Http2Wire.Reset, 0, stream, 0, 0, 0, 8),
        ],
        "settings" => Http2Wire.Frame(Http2Wire.Settings, 0, 0, 0, 3, 0, 0, 0, 100),
        "pings" => Http2Wire.Frame(Http2Wire.Ping, 0, 0, new byte[8]),
        "continuations" when stream == 1 => Http2Wire.Frame(Http2Wire.Headers, 1, 1, Http2Wire.Fields(Good)),
        "continuations" => Http2Wire.Frame(Http2Wire.Continuation, 0, 1, Http2Wire.Fields($"x-{stream}: {stream}")),
        "priorities" => Http2Wire.Frame(Http2Wire.Priority, 0, stream, 0, 0, 0, 0, 5),
        _ when stream == 1 => Open(Good),
        _ => Http2Wire.Frame(Http2Wire.Data, 0, 1),
    };

    internal static byte[] Request(params string[] fields) =>
        Http2Wire.Frame(Http2Wire.Headers, Http2Wire.EndHeaders | Http2Wire.EndStream, 1, Http2Wire.Fields(fields));

    private static byte[] Open(params string[] fields) =>
        Http2Wire.Frame(Http2Wire.Headers, Http2Wire.EndHeaders, 1, Http2Wire.Fields(fields));

    private static byte[] Body(string text) =>
        Http2Wire.Frame(Http2Wire.Data, Http2Wire.EndStream, 1, System.Text.Encoding.ASCII.GetBytes(text));

    private static byte[] Large()
    {
        byte[] block = Http2Wire.Fields([.. Good, "x-a: " + new string('x', 300_000)]);
        byte[][] parts = [.. block.Chunk(16_000)];
        return
        [
            .. Http2Wire.Frame(Http2Wire.Headers, Http2Wire.EndStream, 1, parts[0]),
            .. parts[1..^1].SelectMany(part => Http2Wire.Frame(Http2Wire.Continuation, 0, 1, part)),
            .. Http2Wire.Frame(Http2Wire.Continuation, Http2Wire.EndHeaders, 1, parts[^1]),
        ];
    }
}
