using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>Knows machines from which layers may come sooner than from where images are.</summary>
public interface INeighbours
{
    /// <summary>Machines that may have the layers of an image, in the order in which they are to be asked; none where
    /// nobody knows. The caller disposes them.</summary>
    Task<IReadOnlyList<INeighbour>> OfAsync(Digest image, CancellationToken cancellationToken);
}

/// <summary>A machine that may have layers of one image. Nothing that it says is believed.</summary>
public interface INeighbour : IDisposable
{
    /// <summary>A layer, not verified and of any length; it throws IOException where it comes too slowly. Null where
    /// the machine does not give it now. Throws BerthException, IOException or HttpRequestException for everything
    /// else.</summary>
    Task<Stream?> TryOpenAsync(Digest layer, CancellationToken cancellationToken);

    /// <summary>Told that what it gave is of no use; it is not asked again soon.</summary>
    void Distrust(Digest layer, string reason);
}
