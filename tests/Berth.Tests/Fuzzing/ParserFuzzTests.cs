using System.Net.WebSockets;
using System.Text;
using Berth.Api.Containers;
using Berth.Core.Callbacks;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Init.Protocol;
using Berth.Node.Linux;
using Berth.Node.RootFilesystems;
using Berth.Node.Runtimes;
using Berth.Oci.Images;
using Berth.Oci.Tar;
using Berth.Registry.Access;
using Berth.Registry.Endpoints;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.ContainerEndpoints;
using Berth.Server.Forwarding;
using Berth.Server.Hosting;
using Berth.Server.Store;
using Berth.Testing.Content;
using Berth.Testing.Fuzzing;
using Berth.Testing.Layers;
using Berth.Tests.Edge;
using Microsoft.Extensions.Primitives;
using Xunit;
using LogRecord = Berth.Server.Logs.LogFormat;

namespace Berth.Tests.Fuzzing;

/// <summary>
/// Every parser of what comes from outside, fed with what is nearly right: it takes it or refuses it in the words meant
/// for that, and nothing else ever comes out. <c>BERTH_FUZZ</c> sets how many texts each is fed with.
/// </summary>
public sealed class ParserFuzzTests
{
    private static readonly int Texts = FuzzCount.Of(5_000);

    private static readonly Dictionary<string, (Action<byte[]> Feed, byte[][] Seeds)> Parsers = new()
    {
        ["image references"] = Text(
            t => _ = ImageReference.TryParse(t, out _), "demo/app:latest", "host.example:5000/a/b_c/d-e:1.2-3",
            "app@sha256:" + new string('a', 64), "localhost/app", "[::1]:5000/a/b"),
        ["digests"] = Text(
            t => _ = Digest.TryParse(t, out _), "sha256:" + new string('0', 64), "sha512:" + new string('f', 128)),
        ["sizes"] = Text(
            t => _ = ByteSize.TryParse(t, out _), "64Mi", "1.5Gi", "1000", "10M", "1Ki", "9007199254740993"),
        ["durations"] = Text(t => _ = Duration.TryParse(t, out _), "60s", "5m", "1h30m", "250ms", "1.5s", "7d"),
        ["processors"] = Text(t => _ = CpuQuota.TryParse(t, out _), "0.5", "2", "250m", "1.25"),
        ["run ids"] = Text(t => _ = RunId.TryParse(t, out _), "01m7ykqgsybtfn90avew4xc7wc"),
        ["ranges"] = Text(t => ByteRange.Parse(t, 1000), "bytes=0-99", "bytes=-5", "bytes=500-", "bytes=0-0,5-6"),
        ["upload ranges"] = Text(
            t => ContentRange.TryParse(t, out ContentRange range).Then(
                () => Assert.InRange(range.Length, 1, long.MaxValue)),
            "0-1023", "bytes 0-1023/*", "0-9223372036854775807"),
        ["registry paths"] = Text(
            t => RegistryPath.Parse(t), "/a/b/manifests/latest", "/a/blobs/uploads/01m7ykqgsybtfn90avew4xc7wc"),
        ["registry scopes"] = Text(
            t => RegistryScope.Parse([t]), "repository:a/b:pull,push", "registry:catalog:*"),
        ["tokens"] = Text(
            t => _ = TokenText.TryParse(t, out _), "berth_0123456789ab_" + new string('5', 64)),
        ["preferences"] = Text(t => Preference.Parse(new StringValues(t)), "respond-async, wait=5", "wait=\"9\";x=y"),
        ["percent text"] = Text(t => PercentText.Decode("X", t), "a%20b%C3%A9", "%E2%82%AC", "100%25"),
        ["trace contexts"] = Text(
            t => TraceContext.From(t, t), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ["listen addresses"] = Text(t => _ = ListenAddress.TryParse(t, out _), "127.0.0.1:7070", "[::]:80", "*:8080"),
        ["callback policies"] = Text(
            t => new CallbackPolicy([t]), "10.0.0.0/8", "hooks.internal", "::1", "fd00::/8"),
        ["callback addresses"] = Text(
            t => WebAddress.TryParse(t, out Uri? uri).Then(() => CallbackPolicy.PublicOnly.Check(uri!)),
            "//\u202e", "https://example.org/x?y#z", "http://[::1]:80/", "http://2130706433/", "http://a@b:1/"),
        ["manifests"] = Text(t => ManifestDocument.Parse(Encoding.UTF8.GetBytes(t), null), Manifest, Index),
        ["image configurations"] = Text(t => ImageConfigDocument.Parse(Encoding.UTF8.GetBytes(t)), Config),
        ["configuration files"] = Text(ReadConfiguration, """{"listen":["127.0.0.1:0"],"max-running":4}""", "{}"),
        ["log lines"] = Bytes(
            b => _ = LogRecord.TryParse(b, 0, out _),
            "2026-01-02T03:04:05.1234567Z stderr F a whole line\n"u8.ToArray()),
        ["stored specifications"] = Bytes(ReadSpecification, """{"image":"a:1","digest":"sha256:0"}"""u8.ToArray()),
        ["archives"] = Bytes(ReadArchive, [.. Archives()]),
        ["pax records"] = Bytes(
            b => PaxRecords.Read(b, [], global: false), "18 path=some/name\n12 mtime=1.5\n"u8.ToArray(),
            "30 SCHILY.xattr.user.mine=val\n"u8.ToArray()),
        ["names in archives"] = Bytes(
            b => EntryPath.Parse(b, TarLimits.Default), "./a/b/c"u8.ToArray(), "usr/.wh.gone"u8.ToArray()),
        ["frames"] = Bytes(ReadFrames, [.. Frames()]),
        ["rights in repositories"] = Text(
            t => RepositoryGrant.Parse(t).Allows("team/app", RegistryAction.Push),
            "team/*:pull,push", "*:pull", "team/a?p/**-x:overwrite,delete"),
        ["accounts"] = Bytes(
            ReadAccounts, "root:x:0:0::/root:/bin/sh\nada:x:1000:100:Ada:/home/ada:/bin/sh\n"u8.ToArray(),
            "users:x:100:\nada:x:10:11::/a\nwheel:x:10:bob,ada\n"u8.ToArray()),
        ["heads of answers"] = Bytes(
            ReadAnswer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5"u8.ToArray(),
            "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, x"u8.ToArray(),
            "HTTP/1.0 304 Not Modified\r\nConnection: close\r\nSet-Cookie: a=b"u8.ToArray()),
        ["messages of attach and exec"] = Bytes(
            ReadMessage, "\0hello"u8.ToArray(), """{"type":"signal","signal":"TERM"}"""u8.ToArray(),
            """{"type":"start","rows":24,"columns":80,"exec":{"command":["sh","-c","id"],"user":"1:2"}}"""u8.ToArray(),
            """{"type":"start","exec":{"command":["id"],"environment":{"A":"b"},"terminal":true}}"""u8.ToArray()),
    };

    public static TheoryData<string> Names => [.. Parsers.Keys];

    private static string Manifest =>
        $$$"""
        {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":
        "application/vnd.oci.image.config.v1+json","digest":"sha256:{{{new string('a', 64)}}}","size":2},"layers":[{
        "mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:{{{new string('b', 64)}}}","size":9}
        ]}
        """;

    private static string Index =>
        $$$"""
        {"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":
        "application/vnd.oci.image.manifest.v1+json","digest":"sha256:{{{new string('c', 64)}}}","size":5,"platform":{
        "architecture":"amd64","os":"linux"}}]}
        """;

    private static string Config =>
        """
        {"architecture":"amd64","os":"linux","config":{"User":"1:2","Env":["A=b"],"Entrypoint":["/x"],"Cmd":["y"],
        "WorkingDir":"/w","ExposedPorts":{"80/tcp":{}},"Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":[]}}
        """;

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Takes_it_or_refuses_it_in_the_words_meant_for_that(string parser)
    {
        (Action<byte[]> feed, byte[][] seeds) = Parsers[parser];
        Mutator mutator = new(seeds);
        await HangGuard.ForEachAsync(Texts, $"Of what {parser} are read from, text", number =>
        {
            byte[] text = mutator.Make(number);
            try
            {
                feed(text);
            }
            catch (BerthException)
            {
                // Refused.
            }
            catch (Exception defect)
            {
                Assert.Fail($"{parser}, text {number}: {Convert.ToBase64String(text)}\n{defect}");
            }
        });
    }

    private static (Action<byte[]>, byte[][]) Text(Action<string> parse, params string[] seeds) =>
        (bytes => parse(Encoding.UTF8.GetString(bytes)), [.. seeds.Select(Encoding.UTF8.GetBytes)]);

    private static (Action<byte[]>, byte[][]) Bytes(Action<byte[]> parse, params byte[][] seeds) => (parse, seeds);

    private static void ReadConfiguration(string text)
    {
        using TemporaryFolder folder = new();
        string file = folder["config.json"];
        File.WriteAllText(file, text);
        ConfigurationReader.Read(
            new ConfigurationSources(new Dictionary<string, IReadOnlyList<string>>(), _ => null, file));
    }

    private static void ReadSpecification(byte[] bytes)
    {
        try
        {
            RunSpecDocument.Read(bytes);
        }
        catch (System.Text.Json.JsonException)
        {
            // Written by the server alone; what is damaged is told as that by its reader.
        }
    }

    private static void ReadArchive(byte[] bytes)
    {
        TarReader reader = new(new StreamTarInput(new MemoryStream(bytes)), TarLimits.Default);
        while (reader.Read() is not null)
        {
            while (!reader.ReadData().IsEmpty)
            {
            }
        }
    }

    private static void ReadFrames(byte[] bytes)
    {
        FrameHeader.TryDecode(bytes, out _);
        StartFrame.TryDecode(bytes, out _);
        BootFrame.TryDecode(bytes, out _);
        ExecFrame.TryDecode(bytes, out _);
        OuterFrame.TryDecode(bytes, out _);
        ExecRefusedFrame.TryDecode(bytes, out _);
        RefusedFrame.TryDecode(bytes, out _);
        FailedFrame.TryDecode(bytes, out _);
        ExitedFrame.TryDecode(bytes, out _);
        PlainFrames.TryDecodeReady(bytes);
        PlainFrames.TryDecodeSignal(bytes, out _);
        StartedFrame.TryDecode(bytes, out _);
        foreach (FrameType type in Enum.GetValues<FrameType>())
        {
            ExecNumbersFrame.TryDecode(type, bytes, out _);
        }
    }

    private static void ReadAccounts(byte[] bytes)
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["etc"]);
        File.WriteAllBytes(folder["etc/passwd"], bytes);
        File.WriteAllBytes(folder["etc/group"], bytes);
        AccountFiles.Check(folder.Path);
        using FileDescriptor root = FileSystems.OpenFolder(folder.Path);
        ImageAccounts accounts = new(root);
        foreach (string user in (string[])["ada", "1000", "ada:wheel"])
        {
            try
            {
                accounts.Resolve(user);
            }
            catch (LookupException)
            {
                // No such account, which whoever starts the program tells.
            }
        }
    }

    private static void ReadAnswer(byte[] bytes)
    {
        try
        {
            AnswerHead.Parse([.. bytes, .. "\r\n\r\n"u8], "GET");
        }
        catch (IOException)
        {
            // No answer of HTTP/1; whoever forwards tells it as the program's failure.
        }
    }

    /// <summary>As input where it begins as that does, else as text.</summary>
    private static void ReadMessage(byte[] bytes)
    {
        WebSocketMessageType type = bytes is [StreamProtocol.Input, ..]
            ? WebSocketMessageType.Binary
            : WebSocketMessageType.Text;
        using MemoryStream wire = new();
        using WebSocket client = WebSocket.CreateFromStream(wire, new WebSocketCreationOptions());
        client.SendAsync(new ArraySegment<byte>(bytes), type, endOfMessage: true, CancellationToken.None)
            .GetAwaiter().GetResult();
        wire.Position = 0;
        using WebSocket server = WebSocket.CreateFromStream(wire, new WebSocketCreationOptions { IsServer = true });
        using StreamSocket socket = new(server);
        StreamMessage? message = socket.ReceiveAsync().GetAwaiter().GetResult()?.Message;
        if (message?.Exec is { } exec)
        {
            ExecOrder.Read(exec, TerminalSize.Usual);
        }

        if (message?.Signal is { } signal)
        {
            SignalName.Parse(signal);
        }
    }

    private static IEnumerable<byte[]> Frames()
    {
        byte[] start = StartFrame.Encode("alice"u8, "/work"u8, [[115, 104], [45, 99]], [[65, 61, 49]]).ToArray();
        return [start, start[8..], BootFrame.Encode([6, 0, 0, 0, 0, 0, 255, 127]).ToArray()[8..], new byte[40]];
    }

    private static IEnumerable<byte[]> Archives() =>
    [
        new TarBuilder().Folder("a").File("a/b", "text").SymbolicLink("c", "a/b").HardLink("d", "a/b").Build(),
        new TarBuilder().Pax("path", "long/name").File("x", "y").GnuLongName("another/long").File("z").Build(),
        new TarBuilder().GlobalPax("comment", "c").Pax("SCHILY.xattr.user.a", "b").File("f", "g").Build(),
    ];
}

/// <summary>How much is tried: little on every run of the tests, as much as one likes on demand.</summary>
internal static class FuzzCount
{
    public static int Of(int usually) =>
        int.TryParse(Environment.GetEnvironmentVariable("BERTH_FUZZ"), out int asked) ? asked : usually;

    public static bool Then(this bool condition, Action act)
    {
        if (condition)
        {
            act();
        }

        return condition;
    }
}
