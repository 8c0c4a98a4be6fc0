using Berth.Core.Images;

namespace Berth.Registry;

/// <summary>Other servers that have the same repositories.</summary>
public interface IImageSharing
{
    /// <summary>Tells them what has changed in a repository; does not fail where they can't be told just now.</summary>
    Task PublishAsync(string repository, CancellationToken cancellationToken);

    /// <summary>Makes a blob that a manifest of the repository names one of this server's; false where none names it.
    /// Throws what keeps it from being had.</summary>
    Task<bool> FetchAsync(string repository, Digest blob, CancellationToken cancellationToken);
}
