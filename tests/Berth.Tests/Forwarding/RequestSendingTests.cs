using System.IO.Pipelines;
using System.Text;
using Berth.Server.Forwarding;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Xunit;

namespace Berth.Tests.Forwarding;

/// <summary>What of a request is known to have been taken from its caller.</summary>
public sealed class RequestSendingTests
{
    [Theory]
    [InlineData(0, 10)]
    [InlineData(1, 100_000)]
    public async Task A_body_that_could_not_be_sent_was_taken_all_the_same(int writes, int length)
    {
        using ServiceConnection connection = new(new ClosedStream(writes));
        DefaultHttpContext context = new();
        Pipe body = new(new PipeOptions(pauseWriterThreshold: 0));
        await body.Writer.WriteAsync(new byte[length], TestContext.Current.CancellationToken);
        await body.Writer.CompleteAsync();
        context.Features.Set<IRequestBodyPipeFeature>(new ArrivedBody(body.Reader));
        context.Request.ContentLength = length;
        connection.NewHead();

        using RequestSending sending = RequestSending.Begin(connection, context.Request, hasBody: true);

        Assert.False(await sending.Completion);
        Assert.True(sending.HasTaken);
        Assert.Null(sending.Fault);
    }

    [Fact]
    public async Task What_was_not_taken_can_be_had_again()
    {
        using ServiceConnection connection = new(new ClosedStream(1));
        DefaultHttpContext context = new();
        context.Request.ContentLength = 5;
        using HeldStream body = new();
        context.Request.Body = body;
        connection.NewHead();

        using RequestSending sending = RequestSending.Begin(connection, context.Request, hasBody: true);
        await sending.StopAsync();

        Assert.False(sending.HasTaken);
        body.Release("hello");
        using StreamReader rest = new(context.Request.Body);
        Assert.Equal("hello", await rest.ReadToEndAsync(TestContext.Current.CancellationToken));
    }

    /// <summary>That has come already.</summary>
    private sealed record ArrivedBody(PipeReader Reader) : IRequestBodyPipeFeature;

    /// <summary>Takes so many writes; then the other end has closed it.</summary>
    private sealed class ClosedStream(int writes) : MemoryStream
    {
        private int left = writes;

        public override ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            left-- > 0 ? ValueTask.CompletedTask : ValueTask.FromException(new IOException("Broken pipe."));
    }

    /// <summary>Nothing comes before it is released.</summary>
    private sealed class HeldStream : MemoryStream
    {
        private readonly TaskCompletionSource released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release(string text)
        {
            Write(Encoding.UTF8.GetBytes(text));
            Position = 0;
            released.SetResult();
        }

        public override async ValueTask<int> ReadAsync(
            Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await released.Task.WaitAsync(cancellationToken);
            return Read(buffer.Span);
        }
    }
}
