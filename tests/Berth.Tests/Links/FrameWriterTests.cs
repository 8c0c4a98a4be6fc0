using System.IO.Pipelines;
using System.Text;
using Berth.Api.Links;
using Xunit;

namespace Berth.Tests.Links;

public sealed class FrameWriterTests : IDisposable
{
    private readonly Pipe pipe = new(new PipeOptions(pauseWriterThreshold: 0));
    private readonly FrameWriter writer;
    private readonly FrameReader reader;

    public FrameWriterTests()
    {
        writer = new FrameWriter(pipe.Writer);
        reader = new FrameReader(pipe.Reader);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => writer.Dispose();

    [Fact]
    public async Task What_is_held_back_goes_in_one_piece_and_what_comes_later_at_once()
    {
        writer.Hold();
        await writer.SendAsync(FrameKind.Output, Bytes("one"), Token);
        await writer.SendAsync(FrameKind.OutputEnd, Token);
        Assert.False(pipe.Reader.TryRead(out _));

        await writer.ReleaseAsync(Token);
        Assert.Equal((FrameKind.Output, 3), Seen(await reader.ReadAsync(Token)));
        Assert.True(reader.TryRead(out Frame second));
        Assert.Equal(FrameKind.OutputEnd, second.Kind);
        Assert.False(reader.TryRead(out _));

        await writer.SendAsync(FrameKind.ErrorEnd, Token);
        Assert.Equal((FrameKind.ErrorEnd, 0), Seen(await reader.ReadAsync(Token)));
    }

    [Theory]
    [InlineData(4096, 8)]
    [InlineData(5000, 1)]
    public async Task No_more_than_a_little_is_held_back(int length, int frames)
    {
        writer.Hold();
        for (int i = 0; i < frames - 1; i++)
        {
            await writer.SendAsync(FrameKind.Output, new byte[length], Token);
            Assert.False(pipe.Reader.TryRead(out _));
        }

        await writer.SendAsync(FrameKind.Output, new byte[length], Token);

        Assert.Equal((FrameKind.Output, length), Seen(await reader.ReadAsync(Token)));
    }

    [Fact]
    public async Task Nothing_is_released_where_nothing_waits()
    {
        writer.Hold();
        await writer.ReleaseAsync(Token);

        Assert.False(pipe.Reader.TryRead(out _));
    }

    private static (FrameKind Kind, long Length) Seen(Frame? frame) => (frame!.Value.Kind, frame.Value.Payload.Length);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
