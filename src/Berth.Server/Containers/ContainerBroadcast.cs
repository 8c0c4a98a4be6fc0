using System.Threading.Channels;

namespace Berth.Server.Containers;

/// <summary>Which of a program's streams a piece of output came by.</summary>
public enum ProgramStream
{
    Output = 1,
    Error = 2,
}

/// <summary>A piece of output; its bytes stay as they are.</summary>
public readonly record struct ProgramOutput(ProgramStream Stream, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// Passes what a container's program writes on to everybody who is attached. The program waits for the slowest of them,
/// but not longer than <see cref="Patience"/>: then that one is cut off.
/// </summary>
internal sealed class ContainerBroadcast(TimeProvider time)
{
    /// <summary>Pieces of at most 16 KiB that one reader may be behind: 1 MiB.</summary>
    private const int Behind = 64;

    /// <summary>How long a program waits for a reader that takes nothing.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock gate = new();
    private Listener[] listeners = [];

    /// <summary>From now on. The caller disposes it.</summary>
    public Listener Listen(bool output, bool error)
    {
        Listener listener = new(this, output, error);
        lock (gate)
        {
            listeners = [.. listeners, listener];
        }

        return listener;
    }

    /// <summary>Bytes are copied where somebody wants them.</summary>
    public async ValueTask PublishAsync(ProgramStream stream, ReadOnlyMemory<byte> bytes)
    {
        if (listeners is not { Length: > 0 } now)
        {
            return;
        }

        byte[] copy = bytes.ToArray();
        foreach (Listener listener in now)
        {
            if (listener.Wants(stream) && !listener.TryGive(new ProgramOutput(stream, copy)))
            {
                await listener.GiveAsync(new ProgramOutput(stream, copy), time);
            }
        }
    }

    /// <summary>The program has ended: those attached get the rest and then the end.</summary>
    public void Complete()
    {
        Listener[] now;
        lock (gate)
        {
            now = listeners;
            listeners = [];
        }

        foreach (Listener listener in now)
        {
            listener.Complete(null);
        }
    }

    private void Leave(Listener listener)
    {
        lock (gate)
        {
            listeners = [.. listeners.Where(l => l != listener)];
        }
    }

    /// <summary>One who is attached.</summary>
    internal sealed class Listener(ContainerBroadcast owner, bool output, bool error) : IDisposable
    {
        private readonly Channel<ProgramOutput> channel = Channel.CreateBounded<ProgramOutput>(
            new BoundedChannelOptions(Behind) { SingleReader = true });

        /// <summary>Ends with the program. Throws IOException for one that was cut off.</summary>
        public ChannelReader<ProgramOutput> Reader => channel.Reader;

        public void Dispose()
        {
            owner.Leave(this);
            // A program that waits for this one must not wait any longer.
            channel.Writer.TryComplete();
        }

        internal bool Wants(ProgramStream stream) => stream == ProgramStream.Output ? output : error;

        internal bool TryGive(ProgramOutput piece) => channel.Writer.TryWrite(piece);

        internal async ValueTask GiveAsync(ProgramOutput piece, TimeProvider time)
        {
            using CancellationTokenSource limit = new(Patience, time);
            try
            {
                await channel.Writer.WriteAsync(piece, limit.Token);
            }
            catch (ChannelClosedException)
            {
                // It has left.
            }
            catch (OperationCanceledException)
            {
                owner.Leave(this);
                Complete(new IOException(
                    $"The connection took none of the program's output for {Patience.TotalSeconds} s."));
            }
        }

        internal void Complete(Exception? cause) => channel.Writer.TryComplete(cause);
    }
}
