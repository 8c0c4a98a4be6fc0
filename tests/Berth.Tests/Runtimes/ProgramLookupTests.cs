using Berth.Node.Init;
using Berth.Node.Runtimes;
using Xunit;

namespace Berth.Tests.Runtimes;

/// <summary>What is found in a sandbox's file tree from outside, with links that would lead out of it.</summary>
public sealed class ProgramLookupTests : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("berth-test-").FullName;

    public ProgramLookupTests()
    {
        foreach (string name in new[] { "bin", "etc", "srv" })
        {
            Directory.CreateDirectory($"{root}/{name}");
        }

        Add("bin/tool", executable: true);
        Add("bin/data", executable: false);
        File.CreateSymbolicLink(root + "/bin/linked", "/bin/tool");
        File.CreateSymbolicLink(root + "/bin/outside", "/../../../../usr/bin/env");
        File.WriteAllText(
            root + "/etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:100::/home/ada:\nbad line\nx:-1:y::\n");
        File.WriteAllText(root + "/etc/group", "users:x:100:\nwheel:x:10:bob,ada\nlarge:x:99999999999:ada\n");
    }

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Theory]
    [InlineData("tool", "/bin/tool")]
    [InlineData("/bin/tool", "/bin/tool")]
    [InlineData("linked", "/bin/linked")]
    [InlineData("./tool", "/bin/./tool")]
    [InlineData("/dev/.berth-init", "/dev/.berth-init")]
    public void A_command_is_found_as_in_the_sandbox(string command, string path) =>
        Assert.Equal(path, Find(command, folder: "/bin").Path);

    [Theory]
    [InlineData("nothing", "is in no folder of PATH (/usr/bin:/bin)")]
    [InlineData("/bin/nothing", "does not exist in the image")]
    [InlineData("/bin/tool/below", "does not exist in the image")]
    [InlineData("outside", "is in no folder of PATH")]
    [InlineData("data", "is not executable")]
    [InlineData("/srv", "is not executable")]
    public void What_is_not_there_is_said(string command, string why) =>
        Assert.Contains(
            why, Assert.Throws<LookupException>(() => Find(command)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("", 0, 0, "/root", new[] { 0 })]
    [InlineData("ada", 1000, 100, "/home/ada", new[] { 100, 10 })]
    [InlineData("1000", 1000, 100, "/home/ada", new[] { 100, 10 })]
    [InlineData("ada:wheel", 1000, 10, "/home/ada", new[] { 10 })]
    [InlineData("7", 7, 0, "/", new[] { 0 })]
    [InlineData("7:8", 7, 8, "/", new[] { 8 })]
    public void A_user_is_resolved_by_the_files_of_the_image(string user, int id, int group, string home, int[] groups)
    {
        FoundProgram found = Find("tool", user);

        Assert.Equal((id, group, home), (found.User.User, found.User.Group, found.User.Home));
        Assert.Equal(groups, found.User.Groups);
        Assert.Contains("HOME=" + home, found.Environment);
    }

    [Theory]
    [InlineData("eve", "is not in the image's /etc/passwd")]
    [InlineData("ada:staff", "names a group that is not in the image's /etc/group")]
    [InlineData("ada:", "has an empty user or group")]
    [InlineData("4294967295", "has an id above 2147483647")]
    public void A_user_that_is_not_there_is_refused(string user, string why) =>
        Assert.Contains(
            why, Assert.Throws<LookupException>(() => Find("tool", user)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("etc/passwd", "folder", "ada", "the image's /etc/passwd is not a regular file; use a number")]
    [InlineData("etc/group", "folder", "ada:users", "the image's /etc/group is not a regular file; use a number")]
    [InlineData("etc/passwd", "large", "ada", "the image's /etc/passwd is larger than 1 MiB; use a number")]
    [InlineData("etc/passwd", "loop", "ada", "the image's /etc/passwd can't be opened; use a number")]
    public void An_account_file_that_kindnone_kindthe_image_s_fault(string file, string kind, string user, string why)
    {
        Replace(file, kind);

        Assert.Contains(
            why, Assert.Throws<LookupException>(() => Find("tool", user)).Message, StringComparison.Ordinal);
        Assert.Equal(7, Find("tool", "7:8").User.User);
    }

    [Fact]
    public void Without_a_usable_group_file_a_user_has_its_own_group_alone()
    {
        Replace("etc/group", "folder");

        Assert.Equal([100], Find("tool", "ada").User.Groups);
    }

    [Theory]
    [InlineData("/proc/1", "lies in /proc")]
    [InlineData("/srv/../..", "'..' in it")]
    [InlineData("/bin/tool", "is not a folder")]
    public void A_folder_that_can_not_be_is_refused(string folder, string why) =>
        Assert.Contains(
            why, Assert.Throws<LookupException>(() => Find("tool", folder: folder)).Message, StringComparison.Ordinal);

    private FoundProgram Find(string command, string user = "", string folder = "/") => ProgramLookup.Find(
        new ProgramStart(
            [command, "argument"], new Dictionary<string, string> { ["PATH"] = "/usr/bin:/bin" }, user, folder),
        root, owner: 0);

    private void Replace(string name, string kind)
    {
        string path = $"{root}/{name}";
        File.Delete(path);
        switch (kind)
        {
            case "folder":
                Directory.CreateDirectory(path);
                break;
            case "loop":
                File.CreateSymbolicLink(path, Path.GetFileName(path));
                break;
            default:
                File.WriteAllText(path, new string('x', (1024 * 1024) + 1));
                break;
        }
    }

    private void Add(string name, bool executable)
    {
        File.WriteAllText($"{root}/{name}", "#!");
        File.SetUnixFileMode(
            $"{root}/{name}",
            UnixFileMode.UserRead | UnixFileMode.UserWrite
                | (executable ? UnixFileMode.OtherExecute : UnixFileMode.None));
    }
}
