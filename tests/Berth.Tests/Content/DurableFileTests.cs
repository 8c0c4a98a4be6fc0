using Berth.Oci.Content;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Content;

public sealed class DurableFileTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_private_file_is_readable_by_its_owner_alone_and_replaced_as_a_whole()
    {
        string path = folder["secrets/key"];

        DurableFile.ReplacePrivate(path, "a long first content"u8);
        DurableFile.ReplacePrivate(path, "second"u8);

        Assert.Equal("second", File.ReadAllText(path));
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(path));
        Assert.Equal([path], Directory.GetFiles(folder["secrets"]));
    }

    [Fact]
    public void What_a_killed_server_left_half_written_is_in_nobodys_way()
    {
        string path = folder["key"];
        File.WriteAllText(folder[".key.new"], "half, and readable by all");

        DurableFile.ReplacePrivate(path, "whole"u8);

        Assert.Equal([path], Directory.GetFiles(folder.Path));
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(path));
    }
}
