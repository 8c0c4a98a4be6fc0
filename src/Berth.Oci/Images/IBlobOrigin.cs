using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>Another machine that content is fetched from by its digest alone.</summary>
public interface IBlobOrigin
{
    /// <summary>Content by digest; not verified. Throws <c>BlobUnknown</c> where there is none, and what keeps it from
    /// being asked.</summary>
    Task<Stream> OpenBlobAsync(Digest digest, CancellationToken cancellationToken);
}
