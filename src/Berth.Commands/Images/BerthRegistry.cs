using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;

namespace Berth.Commands.Images;

/// <summary>
/// The server's own registry as the commands reach it: over the registry protocol, with the session's token.
/// </summary>
internal sealed class BerthRegistry : IDisposable
{
    private readonly RegistryConnection connection;

    public BerthRegistry(Session session)
    {
        // Any user name goes with a token (docs/internals/registry.md).
        RegistryCredentials? credentials = session.Target.Token is { } token ? new("berth", token) : null;
        connection = new RegistryConnection(session.Target.Address, credentials, session.Terminal.Time);
    }

    /// <param name="mountFrom">A repository that blobs may be taken from instead of being sent.</param>
    public RegistryRepository Repository(ImageReference reference, string? mountFrom = null) =>
        connection.Repository(reference.Repository, mountFrom);

    /// <summary>A reference to an image of this registry; one with a host means another registry.</summary>
    public static ImageReference Parse(string text)
    {
        ImageReference reference = ImageReference.Parse(text);
        return reference.RegistryHost is null
            ? reference
            : throw new BerthException(
                ErrorCode.InvalidReference,
                $"'{text}' names another registry; here an image of this server is meant: {reference.Repository}.");
    }

    public void Dispose() => connection.Dispose();
}

/// <summary>Adds up what several blobs on the way tell, and shows it as one line. Told from several threads.</summary>
internal sealed class CopyMeter(ProgressLine line, string doing)
{
    private readonly Lock gate = new();
    private readonly Dictionary<Digest, (long Done, long Total)> blobs = [];

    public void Take(CopyStep step)
    {
        if (step.Blob is not { } blob)
        {
            return;
        }

        long done;
        long total;
        lock (gate)
        {
            blobs[blob] = step.Phase is CopyPhase.Copying ? (step.Done, step.Total) : (step.Total, step.Total);
            done = blobs.Values.Sum(b => b.Done);
            total = blobs.Values.Sum(b => b.Total);
        }

        line.Show(doing, done, total);
    }
}
