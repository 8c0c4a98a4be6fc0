using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;

namespace Berth.Server.Cluster;

/// <summary>This server's images, and those of the servers that it shares a store with: what is missing is fetched once
/// and kept until nothing has needed it for the time of grace.</summary>
internal sealed class PeerImages(IImageSource here, FetchedImages fetched) : IImageSource
{
    /// <summary>The way to the other servers; set before anything runs.</summary>
    public Peers? Peers { get; set; }

    public async Task<ImageHandle> OpenAsync(Digest manifest, CancellationToken cancellationToken)
    {
        try
        {
            return await here.OpenAsync(manifest, cancellationToken);
        }
        catch (BerthException missing) when (IsMissing(missing) && Peers is { Any: true })
        {
            try
            {
                return await fetched.OpenAsync(manifest, cancellationToken);
            }
            catch (BerthException nowhere) when (nowhere.Code == ErrorCode.BlobUnknown)
            {
                throw missing;
            }
        }
    }

    private static bool IsMissing(BerthException error) =>
        error.Code is ErrorCode.ImageNotFound or ErrorCode.BlobUnknown;
}
