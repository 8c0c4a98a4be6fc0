using Berth.Core.Errors;
using Berth.Server.Hosting;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Hosting;

/// <summary>The data folder is Berth's alone.</summary>
public sealed class DataFolderTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode Open = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly TemporaryFolder parent = new();

    public void Dispose() => parent.Dispose();

    [Fact]
    public void A_new_one_is_closed_to_other_users()
    {
        using DataFolder data = DataFolder.Open(parent.Path + "/new/data");

        Assert.Equal(OwnerOnly, File.GetUnixFileMode(data.Path));
    }

    [Theory]
    [InlineData("lost+found")]
    [InlineData("lock", "berth.db", "layers")]
    [InlineData]
    public void One_that_is_Berths_is_closed(params string[] files)
    {
        string path = Folder(files);

        using DataFolder data = DataFolder.Open(path);

        Assert.Equal(OwnerOnly, File.GetUnixFileMode(path));
    }

    [Fact]
    public void One_with_other_things_in_it_is_refused_and_left_as_it_is()
    {
        string path = Folder("photos");

        BerthException error = Assert.Throws<BerthException>(() => DataFolder.Open(path));

        Assert.Equal(ErrorCode.InvalidConfiguration, error.Code);
        Assert.Contains("photos", error.Message, StringComparison.Ordinal);
        Assert.Equal(Open, File.GetUnixFileMode(path));
        Assert.Equal(["photos"], Directory.EnumerateFileSystemEntries(path).Select(Path.GetFileName));
    }

    [Fact]
    public void A_second_server_is_refused()
    {
        using DataFolder first = DataFolder.Open(parent.Path + "/data");

        BerthException error = Assert.Throws<BerthException>(() => DataFolder.Open(parent.Path + "/data"));

        Assert.Contains("Another Berth server", error.Message, StringComparison.Ordinal);
    }

    private string Folder(params string[] files)
    {
        string path = Directory.CreateDirectory(parent.Path + "/data").FullName;
        File.SetUnixFileMode(path, Open);
        foreach (string file in files)
        {
            File.WriteAllText($"{path}/{file}", "");
        }

        return path;
    }
}
