using Berth.Core.Errors;
using Berth.Server.Secrets;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Secrets;

/// <summary>What seals secrets.</summary>
public sealed class SecretKeysTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private string Path => folder["secrets.key"];

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_file_is_made_once_and_is_its_owners_alone()
    {
        SecretKeys keys = SecretKeys.LoadOrCreate(Path);
        byte[] sealedValue = keys.Seal("db", 1, "value"u8);

        byte[] opened = SecretKeys.LoadOrCreate(Path).Open("db", 1, 1, sealedValue);

        Assert.Equal("value"u8, opened);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path));
        Assert.NotEqual(keys.Seal("db", 1, "value"u8), sealedValue);
        Assert.DoesNotContain("value", System.Text.Encoding.Latin1.GetString(sealedValue), StringComparison.Ordinal);
    }

    [Fact]
    public void A_sealed_value_opens_under_its_own_name_and_version_alone_and_not_with_a_bit_changed()
    {
        SecretKeys keys = SecretKeys.LoadOrCreate(Path);
        byte[] sealedValue = keys.Seal("db", 2, "value"u8);
        (string Name, int Version, byte[] Value)[] others =
        [
            ("db2", 2, sealedValue), ("db", 1, sealedValue), ("db", 22, sealedValue), ("db", 2, []),
            ("db", 2, sealedValue[..20]),
            .. Enumerable.Range(0, sealedValue.Length * 8).Select(bit => ("db", 2, Flipped(sealedValue, bit))),
        ];

        Assert.All(others, o => Assert.Equal(
            ErrorCode.StorageDamaged,
            Assert.Throws<BerthException>(() => keys.Open(o.Name, o.Version, 1, o.Value)).Code));
    }

    [Fact]
    public void The_last_line_seals_and_the_others_still_open()
    {
        byte[] before = SecretKeys.LoadOrCreate(Path).Seal("db", 1, "old"u8);
        File.AppendAllText(Path, "7 " + new string('a', 64) + "\n");

        SecretKeys both = SecretKeys.LoadOrCreate(Path);
        byte[] after = both.Seal("db", 2, "new"u8);
        File.WriteAllText(Path, "7 " + new string('a', 64) + "\n");
        SecretKeys last = SecretKeys.LoadOrCreate(Path);

        Assert.Equal("old"u8, both.Open("db", 1, 1, before));
        Assert.Equal("new"u8, last.Open("db", 2, 7, after));
        BerthException gone = Assert.Throws<BerthException>(() => last.Open("db", 1, 1, before));
        Assert.Equal(ErrorCode.Conflict, gone.Code);
        Assert.Contains("key 1", gone.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1 abc\n")]
    [InlineData("x aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n")]
    [InlineData("1 gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg\n")]
    public void A_file_that_is_no_list_of_keys_is_refused_without_its_content(string content)
    {
        File.WriteAllText(Path, content);
        File.SetUnixFileMode(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite);

        BerthException refusal = Assert.Throws<BerthException>(() => SecretKeys.LoadOrCreate(Path));

        Assert.Equal(ErrorCode.InvalidConfiguration, refusal.Code);
        Assert.DoesNotContain("gggg", refusal.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_others_may_read_is_refused()
    {
        SecretKeys.LoadOrCreate(Path);
        File.SetUnixFileMode(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);

        Assert.Contains(
            "chmod 600", Assert.Throws<BerthException>(() => SecretKeys.LoadOrCreate(Path)).Message,
            StringComparison.Ordinal);
    }

    private static byte[] Flipped(byte[] value, int bit)
    {
        byte[] other = [.. value];
        other[bit / 8] ^= (byte)(1 << (bit % 8));
        return other;
    }
}
