using Berth.Core.Images;

namespace Berth.Registry;

/// <summary>
/// Is told of every manifest and index that was pushed and found complete, before its tag is set and the push is
/// answered. Whoever pushed waits. A BerthException refuses the push.
/// </summary>
public interface IManifestObserver
{
    Task OnManifestAsync(string repository, Digest digest, string mediaType, CancellationToken cancellationToken);
}
