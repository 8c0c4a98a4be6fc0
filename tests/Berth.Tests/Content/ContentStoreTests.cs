using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Content;

public sealed class ContentStoreTests : ContentStoreContract, IDisposable
{
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private readonly TemporaryFolder folder = new();
    private readonly ManualTime time = new();
    private readonly ContentStore store;

    public ContentStoreTests() => store = new ContentStore(folder["blobs"], time);

    protected override IContentStore Store => store;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Opening_removes_what_was_left_unfinished_and_keeps_the_rest()
    {
        Digest kept = await WriteAsync("kept"u8.ToArray(), expected: null);
        await File.WriteAllTextAsync(folder["blobs/temp/left"], "half", Stop);

        ContentStore reopened = new(folder["blobs"], time);

        Assert.Empty(Directory.GetFiles(folder["blobs/temp"]));
        Assert.Equal(4, reopened.SizeOf(kept));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(299_999)]
    public async Task A_flipped_bit_is_found_before_the_last_bytes_are_given_and_the_blob_is_gone(int at)
    {
        byte[] content = RandomNumberGenerator.GetBytes(300_000);
        Digest digest = await WriteAsync(content, expected: null);
        content[at] ^= 1;
        await File.WriteAllBytesAsync(store.PathOf(digest)!, content, Stop);

        using MemoryStream received = new();
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(async () =>
        {
            await using Stream blob = store.OpenVerified(digest);
            await blob.CopyToAsync(received, 64 * 1024, Stop);
        });

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
        Assert.Contains(digest.Text, refusal.Message, StringComparison.Ordinal);
        Assert.True(received.Length < content.Length, $"{received.Length} of {content.Length} bytes were given out");
        Assert.Null(store.SizeOf(digest));
        Assert.True(File.Exists(folder[$"blobs/corrupt/sha256-{digest.Hex}"]));
    }

    [Fact]
    public async Task A_truncated_blob_is_found_damaged()
    {
        Digest digest = await WriteAsync(new byte[1000], expected: null);
        await File.WriteAllBytesAsync(store.PathOf(digest)!, new byte[999], Stop);

        await Assert.ThrowsAsync<BerthException>(() => store.VerifyAsync(digest, Stop));

        Assert.Null(store.SizeOf(digest));
    }

    [Fact]
    public async Task Only_old_blobs_that_nobody_holds_are_collected()
    {
        Digest old = await WriteAsync("old"u8.ToArray(), expected: null);
        Digest leased = await WriteAsync("leased"u8.ToArray(), expected: null);
        Digest promised = await WriteAsync("promised"u8.ToArray(), expected: null);
        time.Advance(2 * Hour);
        Digest fresh = await WriteAsync("fresh"u8.ToArray(), expected: null);
        using IDisposable lease = store.Lease(leased);
        Assert.Equal(8, store.Promise(promised));

        Digest[] all = [old, leased, promised, fresh];
        bool[] gone = [.. all.Select(d => store.TryCollect(d, Hour, time.GetUtcNow(), time.GetTimestamp()))];

        Assert.Equal([true, false, false, false], gone);
        Assert.Equal([null, 6, 8, 5], all.Select(store.SizeOf));
        Assert.Null(store.Promise(old));
    }

    [Fact]
    public async Task A_clock_that_jumps_ahead_does_not_shorten_the_grace()
    {
        Digest digest = await WriteAsync("fresh"u8.ToArray(), expected: null);
        time.Jump(TimeSpan.FromDays(365));

        Assert.False(store.TryCollect(digest, Hour, time.GetUtcNow(), time.GetTimestamp()));
    }

    [Fact]
    public async Task A_file_begun_earlier_is_resumed_with_its_content()
    {
        byte[] content = RandomNumberGenerator.GetBytes(2_000_000);
        string path = folder["upload"];
        await using (BlobFile first = store.CreateAt(path))
        {
            await first.WriteAsync(content.AsMemory(0, 900_000), Stop);
            await first.FlushAsync();
        }

        await using BlobFile second = await store.ResumeAtAsync(path, Stop);
        Assert.Equal(900_000, second.Length);
        await second.WriteAsync(content.AsMemory(900_000), Stop);
        Digest digest = await second.CommitAsync(Digest.Sha256(content), Stop);

        Assert.Equal(content, await ReadAsync(digest));
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task Enumeration_names_every_blob()
    {
        Digest first = await WriteAsync("first"u8.ToArray(), expected: null);
        Digest second = await WriteAsync("second"u8.ToArray(), expected: null);

        Assert.Equal(
            new[] { (first, 5L), (second, 6L) }.OrderBy(e => e.Item1.Text),
            store.Enumerate().Select(b => (b.Digest, b.Size)).OrderBy(e => e.Digest.Text));
    }
}
