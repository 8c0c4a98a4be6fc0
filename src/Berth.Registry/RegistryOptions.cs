using Berth.Registry.Policies;

namespace Berth.Registry;

/// <summary>How the registry is set up.</summary>
public sealed record RegistryOptions
{
    /// <summary>Folder of uploads in progress, on the same file system as the content store.</summary>
    public required string UploadFolder { get; init; }

    /// <summary>File of the key that signs registry tokens; made at first use.</summary>
    public required string TokenKeyPath { get; init; }

    /// <summary>What is asked of repositories; null for nothing.</summary>
    public PolicyStore? Policies { get; init; }

    /// <summary>Decides which addresses upstream registries may have; null allows all.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? ConnectUpstream { get; init; }

    /// <summary>Other servers with the same repositories; null where there are none.</summary>
    public IImageSharing? Sharing { get; init; }

    /// <summary>Largest blob accepted, in bytes.</summary>
    public long MaxBlobBytes { get; init; } = 64L * 1024 * 1024 * 1024;
}
