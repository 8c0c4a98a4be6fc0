using System.Buffers;
using System.IO.Pipelines;
using Berth.Api.Links;
using Xunit;

namespace Berth.Tests.Links;

public sealed class LinkFrameTests
{
    public static TheoryData<FrameKind> Kinds => [.. Enum.GetValues<FrameKind>()];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_frame_is_taken_up_to_its_limit_and_not_one_byte_past(FrameKind kind)
    {
        int limit = LinkFrame.LimitOf(kind)!.Value;
        ReadOnlySequence<byte> whole = new(Frame(kind, limit));
        ReadOnlySequence<byte> longer = new(Frame(kind, limit + 1).AsMemory(0, LinkFrame.HeadLength));

        Assert.True(LinkFrame.TryTake(ref whole, out FrameKind taken, out ReadOnlySequence<byte> payload));
        Assert.Equal((kind, limit, 0), (taken, payload.Length, whole.Length));
        // Before a byte of it was waited for.
        Assert.Throws<LinkException>(() => LinkFrame.TryTake(ref longer, out _, out _));
    }

    [Fact]
    public async Task Frames_are_whole_however_they_are_cut()
    {
        byte[] wire = [.. Frame(FrameKind.Input, 3), .. Frame(FrameKind.InputEnd, 0), .. Frame(FrameKind.Signal, 1)];
        for (int cut = 0; cut <= wire.Length; cut++)
        {
            Pipe pipe = new();
            FrameReader reader = new(pipe.Reader);
            await pipe.Writer.WriteAsync(wire.AsMemory(0, cut));
            Task<FrameKind[]> reading = ReadAllAsync(reader);
            await pipe.Writer.WriteAsync(wire.AsMemory(cut));
            await pipe.Writer.CompleteAsync();

            Assert.Equal([FrameKind.Input, FrameKind.InputEnd, FrameKind.Signal], await reading);
        }
    }

    [Fact]
    public async Task An_end_within_a_frame_is_a_fault()
    {
        Pipe pipe = new();
        await pipe.Writer.WriteAsync(Frame(FrameKind.Input, 3).AsMemory(0, 5));
        await pipe.Writer.CompleteAsync();

        await Assert.ThrowsAsync<LinkException>(() => ReadAllAsync(new FrameReader(pipe.Reader)));
    }

    [Fact]
    public void What_is_written_is_read()
    {
        AttemptOrder order = new(
            "01m7ykqgsybtfn90avew4xc7wc-1", "01m7ykqgsybtfn90avew4xc7wc", 1,
            new ShapeOrder("sha256:" + new string('a', 64), 1 << 26, 1000, 64, 1 << 20, "family", 2), ["sh"], null,
            new Dictionary<string, string> { ["A"] = "ä" }, null, "/", 1000, 10,
            [new FilesOrder("/run/secrets", null, new Dictionary<string, byte[]> { ["x"] = [0, 255] })]);

        AttemptOrder again = AttemptOrder.Of(order.Read());

        Assert.Equal(order.Sandbox, again.Sandbox);
        Assert.Equal(order.Environment, again.Environment);
        Assert.Equal([0, 255], again.Files!.Single().Content["x"]);
        Assert.True(AttemptOrder.CanSay(again.Read()));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(LinkProtocol.Window + 1)]
    [InlineData(int.MaxValue)]
    public void A_credit_is_within_the_window(int credit)
    {
        byte[] payload = new byte[4];
        System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(payload, credit);

        Assert.Throws<LinkException>(() => LinkFrame.CreditOf(new ReadOnlySequence<byte>(payload)));
    }

    [Fact]
    public async Task A_stream_takes_a_window_and_no_byte_more_until_it_was_read()
    {
        int welcome = 0;
        using IncomingStream stream = new(n => welcome += n);
        ReadOnlySequence<byte> part = new(new byte[LinkProtocol.Window / 2]);
        stream.Accept(part);
        stream.Accept(part);

        Assert.Throws<LinkException>(() => stream.Accept(new ReadOnlySequence<byte>(new byte[1])));

        await stream.ReadExactlyAsync(new byte[LinkProtocol.Window / 2]);
        Assert.Equal(LinkProtocol.Window / 2, welcome);
    }

    [Fact]
    public async Task Who_has_no_credit_waits_and_who_is_closed_is_told()
    {
        CreditGate gate = new();
        Assert.Equal(LinkProtocol.Window, await gate.TakeAsync(int.MaxValue, CancellationToken.None));
        ValueTask<int> waiting = gate.TakeAsync(10, CancellationToken.None);
        Assert.False(waiting.IsCompleted);

        gate.Add(4);
        Assert.Equal(4, await waiting);
        Task<int> last = gate.TakeAsync(10, CancellationToken.None).AsTask();
        gate.Close();

        await Assert.ThrowsAsync<IOException>(() => last);
        Assert.Throws<LinkException>(() => gate.Add(LinkProtocol.Window + 1));
    }

    [Fact]
    public void A_token_is_what_it_was_and_nothing_near_it()
    {
        JoinToken token = JoinToken.New(new string('b', 64));
        string text = token.ToString();

        Assert.True(JoinToken.TryParse(text, out JoinToken again));
        Assert.Equal(token, again);
        Assert.True(again.Matches(token.HashOfSecret()));
        Assert.False(again.Matches(JoinToken.New(token.Fingerprint).HashOfSecret()));
        Assert.All(
            [text[..^1], text + "0", text.ToUpperInvariant(), text.Replace('_', '-'), ""],
            wrong => Assert.False(JoinToken.TryParse(wrong, out _)));
    }

    private static async Task<FrameKind[]> ReadAllAsync(FrameReader reader)
    {
        List<FrameKind> kinds = [];
        while (await reader.ReadAsync(CancellationToken.None) is { } frame)
        {
            kinds.Add(frame.Kind);
        }

        return [.. kinds];
    }

    private static byte[] Frame(FrameKind kind, int length)
    {
        byte[] frame = new byte[LinkFrame.HeadLength + length];
        LinkFrame.WriteHead(frame, kind, length);
        return frame;
    }
}
