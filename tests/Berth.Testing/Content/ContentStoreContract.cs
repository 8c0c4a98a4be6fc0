using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Xunit;

namespace Berth.Testing.Content;

/// <summary>What every content store promises.</summary>
public abstract class ContentStoreContract
{
    protected abstract IContentStore Store { get; }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(512 * 1024)]
    [InlineData(512 * 1024 + 1)]
    [InlineData(3_000_001)]
    public async Task What_is_committed_is_read_back(int size)
    {
        byte[] content = RandomNumberGenerator.GetBytes(size);

        Digest digest = await WriteAsync(content, expected: null);

        Assert.Equal(Digest.Sha256(content), digest);
        Assert.Equal(size, Store.SizeOf(digest));
        Assert.Equal(content, await ReadAsync(digest));
        Assert.Equal(content, await File.ReadAllBytesAsync(Store.PathOf(digest)!, Stop));
    }

    [Fact]
    public async Task Content_may_be_named_by_sha512()
    {
        byte[] content = RandomNumberGenerator.GetBytes(700_000);
        Digest wanted = Digest.FromHash("sha512", SHA512.HashData(content));

        Assert.Equal(wanted, await WriteAsync(content, wanted));

        Assert.Equal(content, await ReadAsync(wanted));
        Assert.Null(Store.SizeOf(Digest.Sha256(content)));
    }

    [Fact]
    public async Task Content_with_another_digest_than_claimed_is_refused_and_absent()
    {
        Digest claimed = Digest.Sha256("other"u8);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => WriteAsync("content"u8.ToArray(), claimed));

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
        Assert.Null(Store.SizeOf(claimed));
        Assert.Null(Store.SizeOf(Digest.Sha256("content"u8)));
    }

    [Fact]
    public async Task A_writer_disposed_before_commit_publishes_nothing()
    {
        await using (IBlobWriter writer = Store.BeginWrite())
        {
            await writer.WriteAsync("half"u8.ToArray(), Stop);
            Assert.Equal(4, writer.Length);
        }

        Assert.Null(Store.SizeOf(Digest.Sha256("half"u8)));
    }

    [Fact]
    public async Task Committing_the_same_content_twice_is_no_error()
    {
        byte[] content = RandomNumberGenerator.GetBytes(1000);

        Digest[] digests = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => WriteAsync(content, expected: null)));

        Assert.Single(digests.Distinct());
        Assert.Equal(content, await ReadAsync(digests[0]));
    }

    [Fact]
    public void An_absent_blob_is_refused_by_name()
    {
        Digest absent = Digest.Sha256("absent"u8);

        BerthException refusal = Assert.Throws<BerthException>(() => Store.OpenRead(absent));

        Assert.Equal(ErrorCode.BlobUnknown, refusal.Code);
        Assert.Contains(absent.Text, refusal.Message, StringComparison.Ordinal);
        Assert.Null(Store.PathOf(absent));
    }

    protected async Task<Digest> WriteAsync(ReadOnlyMemory<byte> content, Digest? expected)
    {
        await using IBlobWriter writer = Store.BeginWrite();
        for (int offset = 0; offset < content.Length; offset += 70_000)
        {
            await writer.WriteAsync(content[offset..Math.Min(content.Length, offset + 70_000)], Stop);
        }

        return await writer.CommitAsync(expected, Stop);
    }

    protected async Task<byte[]> ReadAsync(Digest digest)
    {
        await using Stream blob = Store.OpenRead(digest);
        using MemoryStream content = new();
        await blob.CopyToAsync(content, Stop);
        return content.ToArray();
    }
}
