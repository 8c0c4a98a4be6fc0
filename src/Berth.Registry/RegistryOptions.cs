namespace Berth.Registry;

/// <summary>How the registry is set up.</summary>
public sealed record RegistryOptions
{
    /// <summary>Folder of uploads in progress, on the same file system as the content store.</summary>
    public required string UploadFolder { get; init; }

    /// <summary>File of the key that signs registry tokens; made at first use.</summary>
    public required string TokenKeyPath { get; init; }

    /// <summary>Largest blob accepted, in bytes.</summary>
    public long MaxBlobBytes { get; init; } = 64L * 1024 * 1024 * 1024;
}
