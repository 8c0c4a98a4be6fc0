namespace Berth.Registry;

/// <summary>What the registry did since the start, for metrics.</summary>
public sealed class RegistryCounters
{
    private long blobsPushed;
    private long bytesReceived;
    private long bytesSent;
    private long manifestsPushed;
    private long manifestsPulled;
    private long damagedBlobs;

    public long BlobsPushed => Interlocked.Read(ref blobsPushed);

    public long BytesReceived => Interlocked.Read(ref bytesReceived);

    public long BytesSent => Interlocked.Read(ref bytesSent);

    public long ManifestsPushed => Interlocked.Read(ref manifestsPushed);

    public long ManifestsPulled => Interlocked.Read(ref manifestsPulled);

    /// <summary>Stored blobs found to have other content than their digest says.</summary>
    public long DamagedBlobs => Interlocked.Read(ref damagedBlobs);

    internal void BlobPushed() => Interlocked.Increment(ref blobsPushed);

    internal void Received(long bytes) => Interlocked.Add(ref bytesReceived, bytes);

    internal void Sent(long bytes) => Interlocked.Add(ref bytesSent, bytes);

    internal void ManifestPushed() => Interlocked.Increment(ref manifestsPushed);

    internal void ManifestPulled() => Interlocked.Increment(ref manifestsPulled);

    internal void Damaged() => Interlocked.Increment(ref damagedBlobs);
}
