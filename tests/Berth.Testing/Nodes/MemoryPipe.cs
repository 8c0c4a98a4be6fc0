using System.IO.Pipelines;

namespace Berth.Testing.Nodes;

/// <summary>
/// A bounded pipe in memory with the manners of a kernel pipe: a full one blocks the writer, a writer whose reader has
/// gone gets IOException, a reader whose writer has gone reads 0.
/// </summary>
internal sealed class MemoryPipe
{
    private readonly Pipe pipe =
        new(new PipeOptions(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024));

    public MemoryPipe()
    {
        Writer = new WriteEnd(pipe.Writer);
        Reader = pipe.Reader.AsStream(leaveOpen: true);
    }

    public WriteEnd Writer { get; }

    public Stream Reader { get; }

    /// <summary>The reading process is gone.</summary>
    public void CloseReader() => pipe.Reader.Complete();

    internal sealed class WriteEnd(PipeWriter writer) : Stream
    {
        private long written;
        private bool closed;

        public long Written => Interlocked.Read(ref written);

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => !closed;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask WriteAsync(
            ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            ObjectDisposedException.ThrowIf(closed, this);
            FlushResult result = await writer.WriteAsync(buffer, cancellationToken);
            if (result.IsCompleted)
            {
                throw new IOException("Broken pipe: the reader is gone.");
            }

            Interlocked.Add(ref written, buffer.Length);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Write(byte[] buffer, int offset, int count) =>
            WriteAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

        public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (!closed)
            {
                closed = true;
                writer.Complete();
            }

            base.Dispose(disposing);
        }
    }
}
