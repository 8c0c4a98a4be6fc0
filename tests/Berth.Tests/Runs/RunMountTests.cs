using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>How volumes and folders in a program's files are written.</summary>
public sealed class RunMountTests
{
    [Theory]
    [InlineData("pages")]
    [InlineData("p:/srv")]
    [InlineData("pages:srv")]
    [InlineData("pages:/srv/../etc")]
    [InlineData("pages:/proc/sys")]
    [InlineData("pages://sys")]
    [InlineData("pages:/")]
    [InlineData(":/srv")]
    [InlineData("pages:/srv:ro:ro")]
    [InlineData("/srv/./x:/srv")]
    [InlineData("./srv:/srv")]
    [InlineData("pages:/s\nrv")]
    public void What_is_no_volume_is_refused_with_its_text(string text)
    {
        BerthException refused = Assert.Throws<BerthException>(() => RunMount.Parse(text));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
        Assert.Contains("volume", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("scratch")]
    [InlineData("/scratch:64Mi")]
    [InlineData("/dev/shm")]
    [InlineData("/scratch:exec")]
    [InlineData("")]
    public void What_is_no_folder_in_memory_is_refused(string text) => Assert.Equal(
        ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => RunMount.ParseTemporary(text)).Code);

    [Fact]
    public void A_mount_is_read_as_it_was_written()
    {
        RunMount[] mounts =
        [
            new(MountKind.Volume, "pages", "/srv", ReadOnly: false),
            new(MountKind.Volume, "pages", "/srv/in", ReadOnly: true),
            new(MountKind.Host, "/var/data", "/data", ReadOnly: true),
            new(MountKind.Temporary, "", "/tmp/x", ReadOnly: false, ByteSize.MiB(3)),
            new(MountKind.Temporary, "", "/tmp/y", ReadOnly: true, ByteSize.FromBytes(4097)),
        ];

        Assert.Equal(mounts, mounts.Select(m => RunMount.Read(m.Text)));
        Assert.Equal(
            mounts,
            mounts.Select(m => m.Kind == MountKind.Temporary
                ? RunMount.ParseTemporary(m.Asked)
                : RunMount.Parse(m.Asked)));
        Assert.Equal(RunMount.UsualSize, RunMount.ParseTemporary("/scratch").Size);
        Assert.Equal("/srv/x", RunMount.Parse("//srv//y/:/srv//x/:rw").Target);
    }

    [Fact]
    public void The_outer_one_comes_first_and_no_two_are_at_one_place()
    {
        RunMount outer = RunMount.Parse("aa:/srv");
        RunMount inner = RunMount.Parse("bb:/srv/in:ro");

        Assert.Equal([outer, inner], RunMount.Order([inner, outer]));
        Assert.Null(RunMount.Order([]));
        Assert.Throws<BerthException>(() => RunMount.Order([outer, RunMount.Parse("bb:/srv")]));
        RunMount[] most = [.. Enumerable.Range(0, RunMount.Most).Select(i => RunMount.Parse($"aa:/d{i}"))];
        Assert.Equal(RunMount.Most, RunMount.Order(most)!.Count);
        Assert.Throws<BerthException>(() => RunMount.Order([.. most, outer]));
    }

    [Fact]
    public void A_folder_of_the_machine_is_allowed_with_what_is_below_it_and_never_with_Berths_own_data()
    {
        HostFolders folders = new(["/srv/data/", "/var"], "/var/lib/berth");

        folders.Require("/srv/data", "it", "nobody");
        folders.Require("/srv/data/deep/er", "it", "nobody");
        folders.Require("/var/lib/berths", "it", "nobody");
        foreach (string path in (string[])[
            "/", "/srv", "/srv/database", "/var", "/var/lib", "/var/lib/berth", "/var/lib/berth/volumes/pages"])
        {
            Assert.Equal(
                ErrorCode.Forbidden,
                Assert.Throws<BerthException>(() => folders.Require(path, "it", "nobody")).Code);
        }

        new HostFolders(["/"], null).Require("/any/thing", "it", "nobody");
        Assert.Throws<BerthException>(() => new HostFolders([], null).Require("/srv", "it", "nobody"));
    }
}
