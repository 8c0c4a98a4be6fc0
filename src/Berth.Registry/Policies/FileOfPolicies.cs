using Berth.Oci.Content;

namespace Berth.Registry.Policies;

/// <summary>Policies of one server alone, in a file that its owner may read.</summary>
public sealed class FileOfPolicies(string path) : IPolicyDocument
{
    public Task<byte[]?> ReadAsync(CancellationToken cancellationToken) =>
        Task.FromResult(File.Exists(path) ? File.ReadAllBytes(path) : null);

    public Task<bool> TryWriteAsync(byte[] content, CancellationToken cancellationToken)
    {
        try
        {
            DurableFile.ReplacePrivate(path, content);
            return Task.FromResult(true);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            throw DurableFile.Refusal(path, e);
        }
    }
}
