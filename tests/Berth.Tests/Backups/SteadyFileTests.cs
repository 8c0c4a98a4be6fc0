using Berth.Server.Backups;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Backups;

/// <summary>Files that change while they are copied.</summary>
public sealed class SteadyFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string path;

    public SteadyFileTests()
    {
        path = folder["file"];
        File.WriteAllBytes(path, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_file_that_grows_is_copied_as_long_as_it_was()
    {
        await using SteadyFile content = Open(mayShrink: false);
        await File.AppendAllBytesAsync(path, [9, 10], Stop);

        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], await ReadAsync(content));
    }

    [Fact]
    public async Task What_a_program_takes_from_its_file_meanwhile_is_zeros()
    {
        await using SteadyFile content = Open(mayShrink: true);
        byte[] first = new byte[3];
        await content.ReadExactlyAsync(first, Stop);
        Shrink(5);

        Assert.Equal([4, 5, 0, 0, 0], await ReadAsync(content));
        Assert.Equal(content.Length, content.Position);
    }

    [Fact]
    public async Task Of_any_other_file_it_breaks_the_copy()
    {
        await using SteadyFile content = Open(mayShrink: false);
        Shrink(5);

        EndOfStreamException broken = await Assert.ThrowsAsync<EndOfStreamException>(() => ReadAsync(content));

        Assert.Contains("became shorter", broken.Message, StringComparison.Ordinal);
    }

    private SteadyFile Open(bool mayShrink) =>
        new(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0), mayShrink);

    private void Shrink(int length)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(length);
    }

    private static async Task<byte[]> ReadAsync(Stream content)
    {
        using MemoryStream copy = new();
        await content.CopyToAsync(copy, Stop);
        return copy.ToArray();
    }
}
