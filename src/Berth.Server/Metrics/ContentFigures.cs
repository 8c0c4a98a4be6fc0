using Berth.Oci.Content;

namespace Berth.Server.Metrics;

/// <summary>How much the content store holds. Counting reads every folder of it, so it is done now and then.</summary>
internal sealed class ContentFigures(ContentStore content)
{
    private long blobs;
    private long bytes;

    public long Blobs => Interlocked.Read(ref blobs);

    public long Bytes => Interlocked.Read(ref bytes);

    public void Count()
    {
        long number = 0;
        long sum = 0;
        foreach (StoredBlob blob in content.Enumerate())
        {
            number++;
            sum += blob.Size;
        }

        Interlocked.Exchange(ref blobs, number);
        Interlocked.Exchange(ref bytes, sum);
    }
}
