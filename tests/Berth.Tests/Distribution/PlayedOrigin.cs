using System.Collections.Concurrent;
using System.Text;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Tests.Distribution;

/// <summary>A machine that has images of a configuration and two layers.</summary>
internal sealed class PlayedOrigin : IBlobOrigin
{
    private readonly ConcurrentDictionary<Digest, byte[]> content = new();
    private readonly ConcurrentDictionary<Digest, TaskCompletionSource> held = new();
    private int asked;

    public int Asked => Volatile.Read(ref asked);

    /// <summary>What it has, by digest.</summary>
    public IReadOnlyDictionary<Digest, byte[]> Content => content;

    /// <summary>Adds an image; its layers are its name and a number.</summary>
    public Digest Add(string name)
    {
        (Digest config, int configSize) = Put(Encoding.UTF8.GetBytes($$"""{"name":"{{name}}"}"""));
        string layers = string.Join(',', Enumerable.Range(0, 2).Select(i =>
        {
            (Digest layer, int size) = Put(Encoding.UTF8.GetBytes($"{name} layer {i}"));
            return $$"""
                {"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{{layer}}","size":{{size}}}
                """;
        }));
        return Put(Encoding.UTF8.GetBytes(
            $$$"""
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{{{layers}}}],
            "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{{{config}}}",
            "size":{{{configSize}}}}}
            """)).Digest;
    }

    public void Hold(Digest digest) => held[digest] = new TaskCompletionSource();

    public void Release(Digest digest) => held[digest].SetResult();

    public async Task<Stream> OpenBlobAsync(Digest digest, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref asked);
        if (held.TryGetValue(digest, out TaskCompletionSource? gate))
        {
            await gate.Task.WaitAsync(cancellationToken);
        }

        return new MemoryStream(content[digest]);
    }

    private (Digest Digest, int Size) Put(byte[] bytes)
    {
        Digest digest = Digest.Sha256(bytes);
        content[digest] = bytes;
        return (digest, bytes.Length);
    }
}
