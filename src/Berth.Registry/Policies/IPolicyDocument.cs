namespace Berth.Registry.Policies;

/// <summary>Where the policies are kept, all of them as one document.</summary>
public interface IPolicyDocument
{
    /// <summary>As it is now; null where there is none yet.</summary>
    Task<byte[]?> ReadAsync(CancellationToken cancellationToken);

    /// <summary>Replaces it, durable when this returns; false, and nothing is written, where it is another one than was
    /// read here last.</summary>
    Task<bool> TryWriteAsync(byte[] content, CancellationToken cancellationToken);
}
