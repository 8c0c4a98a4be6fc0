using System.Diagnostics;
using System.Formats.Tar;
using System.Text;
using Berth.Oci.Unix;
using Berth.Server.Backups;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Backups;

/// <summary>Files with holes go into a tar archive without them, in the way that tar programs know.</summary>
public sealed class SparseListTests
{
    private const int MiB = 1024 * 1024;

    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_list_that_was_written_is_read_and_the_content_follows_it()
    {
        FileExtent[] extents = [.. Enumerable.Range(0, 500).Select(i => new FileExtent(i * 8192, 4096))];
        byte[] list = SparseList.Write(extents, 5_000_000);
        using MemoryStream content = new([.. list, .. "first"u8]);

        IReadOnlyList<FileExtent> read = await SparseList.ReadAsync(content, 5_000_000, None);

        Assert.Equal([.. extents, new FileExtent(5_000_000, 0)], read);
        Assert.Equal(0, list.Length % 512);
        Assert.Equal(list.Length, content.Position);
    }

    [Theory]
    [InlineData("1\n0\n11\n")]
    [InlineData("2\n5\n1\n3\n1\n")]
    [InlineData("1\n0\n9999999999999999999\n")]
    [InlineData("1\n-1\n1\n")]
    [InlineData("1\n\n1\n")]
    [InlineData("99999999\n0\n1\n")]
    [InlineData("x")]
    public async Task A_list_that_is_none_is_refused(string text)
    {
        byte[] block = new byte[512];
        Encoding.ASCII.GetBytes(text, block);
        using MemoryStream content = new(block);

        await Assert.ThrowsAsync<InvalidDataException>(() => SparseList.ReadAsync(content, 10, None));
    }

    [Fact]
    public async Task Tar_takes_such_a_file_out_as_it_was()
    {
        using TemporaryFolder folder = new();
        string original = folder["original"];
        await using (FileStream made = new(original, FileMode.CreateNew))
        {
            made.SetLength(64 * MiB);
            foreach (long at in (long[])[0, 3 * MiB, 40 * MiB])
            {
                made.Position = at;
                made.Write(Encoding.ASCII.GetBytes($"data at {at}"));
            }
        }

        await using (FileStream output = new(folder["archive.tar"], FileMode.CreateNew))
        await using (TarWriter tar = new(output, TarEntryFormat.Pax))
        {
            FileStream file = new(original, FileMode.Open, FileAccess.Read);
            await using SparseContent content = SparseContent.Of(file);
            PaxTarEntry entry = SparseList.EntryOf("some", "copy", file.Length);
            entry.DataStream = content;
            await tar.WriteEntryAsync(entry, None);
        }

        using Process extraction = Process.Start("tar", ["-xf", folder["archive.tar"], "-C", folder.Path]);
        await extraction.WaitForExitAsync(None);
        Assert.Equal(0, extraction.ExitCode);
        Assert.True(new FileInfo(folder["archive.tar"]).Length < MiB);
        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(folder["some/copy"]));
    }

    [Fact]
    public void A_copy_has_the_data_and_the_holes()
    {
        using TemporaryFolder folder = new();
        using (FileStream made = new(folder["from"], FileMode.CreateNew))
        {
            made.SetLength(64 * MiB);
            made.Position = 5 * MiB;
            made.Write("in the middle"u8);
        }

        SparseFile.Copy(folder["from"], folder["to"], None);

        using FileStream copy = new(folder["to"], FileMode.Open);
        FileExtent extent = Assert.Single(SparseFile.ExtentsOf(copy.SafeFileHandle));
        Assert.Equal(5 * MiB, extent.Offset);
        Assert.True(extent.Length < MiB);
        Assert.Equal(File.ReadAllBytes(folder["from"]), File.ReadAllBytes(folder["to"]));
        Assert.Throws<FileNotFoundException>(() => SparseFile.Copy(folder["none"], folder["to"], None));
    }
}
