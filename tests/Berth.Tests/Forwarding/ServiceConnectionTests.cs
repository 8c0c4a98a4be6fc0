using System.Text;
using Berth.Server.Forwarding;
using Xunit;

namespace Berth.Tests.Forwarding;

/// <summary>Answers of programs are read as RFC 9112 says, whatever pieces they come in, and what could be read in two
/// ways is refused.</summary>
public sealed class ServiceConnectionTests
{
    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true)]
    [InlineData("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", true)]
    [InlineData(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", "hello", true)]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", "", true)]
    [InlineData("HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", false)]
    [InlineData("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false)]
    [InlineData("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", "hi", true)]
    [InlineData("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nhi", "hi", false)]
    [InlineData("HTTP/1.1 204 None\r\n\r\n", "", true)]
    [InlineData("HTTP/1.1 304 Same\r\nContent-Length: 10\r\n\r\n", "", true)]
    [InlineData("HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", true)]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "hi", true)]
    public async Task An_answer_is_read(string wire, string body, bool keeps)
    {
        foreach (int piece in (int[])[1, 2, 7, 1000])
        {
            (AnswerHead head, string read, bool atEnd) = await ReadAsync(wire, piece);

            Assert.Equal(body, read);
            Assert.Equal(keeps, head.KeepsConnection);
            Assert.True(atEnd, "Something was left.");
        }
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")]
    [InlineData("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhel\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\n X-Folded: 1\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nX-Name : 1\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nX-Name: a\rb\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\n: empty\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\nContent-Length: 0\n\n")]
    [InlineData("HTTP/2 200 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 2000 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 099 No\r\n\r\n")]
    [InlineData("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n\r\n")]
    [InlineData("")]
    public async Task What_is_no_answer_is_refused(string wire)
    {
        foreach (int piece in (int[])[1, 1000])
        {
            await Assert.ThrowsAsync<IOException>(() => ReadAsync(wire, piece));
        }
    }

    [Fact]
    public async Task An_endless_head_is_refused_in_bounded_memory()
    {
        string wire = "HTTP/1.1 200 OK\r\n"
            + string.Concat(Enumerable.Repeat("X-More: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", 9000));

        IOException error = await Assert.ThrowsAsync<IOException>(() => ReadAsync(wire, 4096));

        Assert.Equal("its answer's head is longer than 32,768 bytes", error.Message);
    }

    [Fact]
    public async Task Endless_interim_answers_are_refused()
    {
        string wire = string.Concat(Enumerable.Repeat("HTTP/1.1 102 Wait\r\n\r\n", 100));

        await Assert.ThrowsAsync<IOException>(() => ReadAsync(wire, 4096));
    }

    [Fact]
    public async Task What_comes_after_an_answer_is_seen_so_that_the_connection_is_not_used_again()
    {
        (_, string body, bool atEnd) = await ReadAsync(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", 1000);

        Assert.Equal("hi", body);
        Assert.False(atEnd);
    }

    [Fact]
    public async Task To_HEAD_there_is_no_body_whatever_the_length()
    {
        ServiceConnection connection = new(new Pieces("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1000));

        AnswerHead head = await connection.ReadHeadAsync("HEAD", upgrades: false);

        Assert.True((await connection.ReadAsync(head)).IsEmpty);
        Assert.True(connection.IsAtEnd);
    }

    private static async Task<(AnswerHead Head, string Body, bool AtEnd)> ReadAsync(string wire, int piece)
    {
        using ServiceConnection connection = new(new Pieces(wire, piece));
        AnswerHead head = await connection.ReadHeadAsync("GET", upgrades: false);
        StringBuilder body = new();
        ReadOnlyMemory<byte> part;
        while (!(part = await connection.ReadAsync(head)).IsEmpty)
        {
            body.Append(Encoding.Latin1.GetString(part.Span));
        }

        return (head, body.ToString(), connection.IsAtEnd);
    }

    /// <summary>Gives its text in pieces of one size.</summary>
    private sealed class Pieces(string text, int size) : Stream
    {
        private readonly byte[] bytes = Encoding.Latin1.GetBytes(text);
        private int at;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => bytes.Length;

        public override long Position
        {
            get => at;
            set => throw new NotSupportedException();
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(Read(buffer.Span));

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            int count = Math.Min(Math.Min(size, buffer.Length), bytes.Length - at);
            bytes.AsSpan(at, count).CopyTo(buffer);
            at += count;
            return count;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
