using Berth.Api.Links;

namespace Berth.Node.Links;

/// <summary>Answers the streams that a server opens over a connection that this machine made.</summary>
internal static class LinkAnswers
{
    /// <summary>Returns when the connection has ended, or at <paramref name="stop"/>, and nothing of it is answered any
    /// more.</summary>
    public static async Task ServeAsync(
        Stream connection, LinkService service, TimeProvider time, CancellationToken stop)
    {
        int under = 1;
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using Multiplexer streams = new(
            connection, Begin,
            // What comes over a connection with a program is passed on to that at once.
            static path => path == LinkProtocol.ConnectionPath, time);
        await using (stop.UnsafeRegister(static state => ((Multiplexer)state!).Dispose(), streams))
        {
            if (await streams.RunAsync() is { } wrong)
            {
                service.Complain(wrong);
            }
        }

        End();
        await ended.Task;

        void Begin(MultiplexedStream stream)
        {
            Interlocked.Increment(ref under);
            // Not at once: an attempt's start is to hold up nobody.
            stream.Run(AnswerNow, stream);
        }

        void AnswerNow(object? stream) => _ = AnswerAsync((MultiplexedStream)stream!);

        async Task AnswerAsync(MultiplexedStream stream)
        {
            try
            {
                await service.AnswerAsync(stream);
            }
            finally
            {
                End();
            }
        }

        void End()
        {
            if (Interlocked.Decrement(ref under) == 0)
            {
                ended.TrySetResult();
            }
        }
    }
}
