using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;

namespace Berth.Testing.Engines;

/// <summary>Images without layers, for engines that need none; counts what is held open.</summary>
public sealed class NoImages : IImageSource
{
    private int open;

    public int Open => Volatile.Read(ref open);

    /// <summary>Opening this one throws ImageNotFound.</summary>
    public Digest? Missing { get; set; }

    public Task<ImageHandle> OpenAsync(Digest manifest, CancellationToken cancellationToken)
    {
        if (manifest == Missing)
        {
            throw new BerthException(ErrorCode.ImageNotFound, $"There is no image {manifest}.");
        }

        Interlocked.Increment(ref open);
        var config = new ImageConfig("amd64", "linux", new ContainerDefaults(Cmd: ["cat"]), new RootFs("layers", []));
        return Task.FromResult(new ImageHandle(manifest, config, [], new Hold(this)));
    }

    private sealed class Hold(NoImages images) : IDisposable
    {
        private int disposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref disposed, 1) == 0)
            {
                Interlocked.Decrement(ref images.open);
            }
        }
    }
}
