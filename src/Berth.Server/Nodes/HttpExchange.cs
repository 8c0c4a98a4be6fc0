using System.IO.Pipelines;
using System.Net;
using Berth.Api.Links;
using Berth.Core.Streams;

namespace Berth.Server.Nodes;

/// <summary>A stream of a link whose streams are HTTP/2's: a request whose body is written as long as it lasts, and the
/// answer, read meanwhile.</summary>
internal sealed class HttpExchange : LinkExchange
{
    private readonly CancellationTokenSource over = new();
    private readonly StreamedContent content = new();
    private readonly Task<HttpResponseMessage> answer;
    private readonly StreamPipeReaderOptions? reading;
    private FrameReader? reader;
    private bool isComplete;
    private int disposed;

    /// <param name="reading">How its answer is read; null for the usual way.</param>
    public HttpExchange(HttpMessageInvoker link, string path, StreamPipeReaderOptions? reading = null)
    {
        this.reading = reading;
        Writer = new FrameWriter(content.Writer);
        HttpRequestMessage request = new(HttpMethod.Post, "http://node" + path)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        answer = link.SendAsync(request, over.Token);
        // Or who writes would wait for a stream that never comes.
        _ = answer.ContinueWith(
            _ => content.End(), CancellationToken.None,
            TaskContinuationOptions.NotOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    public override FrameWriter Writer { get; }

    public override async Task<FrameReader> ReaderAsync(CancellationToken cancellationToken)
    {
        if (reader is null)
        {
            HttpResponseMessage response = await answer.WaitAsync(cancellationToken);
            if (response.StatusCode != HttpStatusCode.OK)
            {
                throw new LinkException($"The node answered with the status {(int)response.StatusCode}.");
            }

            reader = new FrameReader(
                PipeReader.Create(await response.Content.ReadAsStreamAsync(cancellationToken), reading));
        }

        return reader;
    }

    public override void Complete()
    {
        Volatile.Write(ref isComplete, true);
        content.End();
    }

    public override void EndRequest() => content.End();

    public override void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0)
        {
            return;
        }

        content.End();
        if (!Volatile.Read(ref isComplete))
        {
            over.Cancel();
        }

        _ = ReleaseAsync();
    }

    private async Task ReleaseAsync()
    {
        try
        {
            using HttpResponseMessage response = await answer;
        }
        catch (Exception gone) when (gone is HttpRequestException or IOException or OperationCanceledException)
        {
            // Known to who waited for the answer.
            return;
        }
    }

    /// <summary>A request body that is written from outside while the request lasts.</summary>
    private sealed class StreamedContent : HttpContent
    {
        private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly DeferredStream target = new();

        public StreamedContent() => Writer = PipeWriter.Create(target, new StreamPipeWriterOptions(leaveOpen: true));

        public PipeWriter Writer { get; }

        public void End()
        {
            target.Give(null);
            ended.TrySetResult();
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            target.Give(stream);
            return ended.Task;
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }

    /// <summary>Lets who writes wait until the request's own stream is there.</summary>
    private sealed class DeferredStream : SequentialStream
    {
        private readonly TaskCompletionSource<Stream?> given = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override bool CanWrite => true;

        /// <param name="stream">Null: there will be none.</param>
        public void Give(Stream? stream) => given.TrySetResult(stream);

        public override async ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            await (await TargetAsync(cancellationToken)).WriteAsync(buffer, cancellationToken);

        public override async Task FlushAsync(CancellationToken cancellationToken) =>
            await (await TargetAsync(cancellationToken)).FlushAsync(cancellationToken);

        private async ValueTask<Stream> TargetAsync(CancellationToken cancellationToken) =>
            await given.Task.WaitAsync(cancellationToken) ?? throw new IOException("The link is gone.");
    }
}
