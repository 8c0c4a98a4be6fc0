using System.IO.Pipelines;
using Berth.Api.Nodes;
using Berth.Server.Calls;
using Xunit;

namespace Berth.Tests.Links;

public sealed class BodyAheadTests
{
    private readonly Pipe pipe = new();

    [Fact]
    public void Of_a_body_that_has_not_come_nothing_is_known() =>
        Assert.Null(new BodyAhead(pipe.Reader).Peek(100));

    [Fact]
    public async Task What_has_come_is_told_and_stays_to_be_read()
    {
        await pipe.Writer.WriteAsync("hello"u8.ToArray());

        InputBlock part = new BodyAhead(pipe.Reader).Peek(3)!.Value;
        InputBlock all = new BodyAhead(pipe.Reader).Peek(100)!.Value;
        await pipe.Writer.CompleteAsync();
        InputBlock whole = new BodyAhead(pipe.Reader).Peek(5)!.Value;

        Assert.Equal("hel"u8.ToArray(), part.Bytes.ToArray());
        Assert.Equal((5, false, true), (all.Bytes.Length, all.IsWhole, whole.IsWhole));
        ReadResult read = await pipe.Reader.ReadAsync();
        Assert.Equal(5, read.Buffer.Length);
    }

    [Fact]
    public async Task Longer_than_what_is_asked_for_is_not_whole()
    {
        await pipe.Writer.WriteAsync("hello"u8.ToArray());
        await pipe.Writer.CompleteAsync();

        Assert.False(new BodyAhead(pipe.Reader).Peek(4)!.Value.IsWhole);
    }

    [Fact]
    public async Task A_broken_body_is_left_to_who_reads_it()
    {
        await pipe.Writer.CompleteAsync(new IOException("gone"));

        Assert.Null(new BodyAhead(pipe.Reader).Peek(4));
    }
}
