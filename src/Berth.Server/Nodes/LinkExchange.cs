using Berth.Api.Links;

namespace Berth.Server.Nodes;

/// <summary>
/// One stream of a link as its server end sees it: what is said as long as it lasts, and the answer, read meanwhile.
/// Disposing it ends both.
/// </summary>
internal abstract class LinkExchange : IDisposable
{
    public abstract FrameWriter Writer { get; }

    /// <summary>Throws IOException, HttpRequestException or OperationCanceledException where the link is
    /// gone.</summary>
    public abstract Task<FrameReader> ReaderAsync(CancellationToken cancellationToken);

    /// <summary>The answer is read to its end: nothing more is said either.</summary>
    public abstract void Complete();

    /// <summary>Nothing more is said; the answer is still read.</summary>
    public abstract void EndRequest();

    public abstract void Dispose();
}
