using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Layers;

/// <summary>An image that is ready to run, held until disposed.</summary>
/// <param name="LayerPaths">Folders of the unpacked layers, lowest first.</param>
/// <param name="Hold">Disposed with the last handle of it.</param>
public sealed record ImageHandle(
    Digest Manifest, ImageConfig Config, IReadOnlyList<string> LayerPaths, IDisposable Hold) : IDisposable
{
    private readonly SharedHold hold = Hold as SharedHold ?? new SharedHold(Hold);
    private int disposed;

    /// <summary>Another handle of the same image, which holds it by itself. Throws ObjectDisposedException.</summary>
    public ImageHandle Share()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref disposed) != 0, this);
        return new ImageHandle(Manifest, Config, LayerPaths, hold.Take());
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            hold.Dispose();
        }
    }

    private sealed class SharedHold(IDisposable hold) : IDisposable
    {
        private readonly Lock gate = new();
        private int holders = 1;

        public SharedHold Take()
        {
            lock (gate)
            {
                ObjectDisposedException.ThrowIf(holders == 0, this);
                holders++;
                return this;
            }
        }

        public void Dispose()
        {
            lock (gate)
            {
                if (--holders > 0)
                {
                    return;
                }
            }

            hold.Dispose();
        }
    }
}
