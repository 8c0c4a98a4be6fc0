using Berth.Oci.Layers;

namespace Berth.Node.Pools;

/// <summary>
/// An open image, held by a shelf and by every sandbox made from it, so that its layers are collected only when the
/// last of them is gone.
/// </summary>
internal sealed class SharedImage(ImageHandle handle)
{
    private readonly Lock gate = new();
    private int holders = 1;

    public ImageHandle Handle => handle;

    public void Hold()
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(holders == 0, this);
            holders++;
        }
    }

    public void Release()
    {
        lock (gate)
        {
            if (--holders > 0)
            {
                return;
            }
        }

        handle.Dispose();
    }
}
