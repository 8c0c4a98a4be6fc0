using System.Text;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class Curve25519Tests
{
    /// <summary>RFC 7748, section 5.2.</summary>
    [Theory]
    [InlineData(
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")]
    [InlineData(
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")]
    public void The_standard_gives_these(string scalar, string point, string product) => Assert.Equal(
        product, Convert.ToHexStringLower(
            Curve25519.Multiply(Convert.FromHexString(scalar), Convert.FromHexString(point))));

    /// <summary>As OpenSSL has it.</summary>
    [Theory]
    [InlineData(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f")]
    [InlineData(
        "77076d0a7318a57d3c16c17251b26645dfdfdfdfdfdfdfdfdfdfdfdfdfdfdfdf",
        "e8cf172fad11f3269087a119321b21bb9e5f8ed497f5a168c7dc1c92d52f3659")]
    public void A_private_key_has_its_public_one(string own, string expected) => Assert.Equal(
        expected, Convert.ToHexStringLower(Curve25519.PublicOf(Convert.FromHexString(own))));

    [Fact]
    public void A_thousand_times_upon_itself_gives_what_the_standard_says()
    {
        byte[] k = new byte[32];
        k[0] = 9;
        byte[] u = [.. k];
        for (int i = 0; i < 1000; i++)
        {
            byte[] next = Curve25519.Multiply(k, u);
            u = k;
            k = next;
        }

        Assert.Equal(
            "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", Convert.ToHexStringLower(k));
    }

    [Fact]
    public void Two_that_know_only_each_others_public_key_have_a_secret_in_common()
    {
        byte[] one = Curve25519.NewPrivate();
        byte[] other = Curve25519.NewPrivate();

        Assert.Equal(
            Curve25519.Multiply(one, Curve25519.PublicOf(other)),
            Curve25519.Multiply(other, Curve25519.PublicOf(one)));
        Assert.NotEqual(one, other);
    }

    [Fact]
    public void A_key_is_read_as_it_was_written_and_what_is_none_is_not_read()
    {
        string some = Convert.ToBase64String(Encoding.ASCII.GetBytes("0123456789abcdef0123456789abcdef"));
        PeerKey key = new(some, 7072);
        string[] bad =
        [
            "", some, some + ":", some + ":0", some + ":65536", some + ":-1", some + ":1:2", ":7072",
            some[..40] + "====:7072", some[..42] + "!=:7072", some[4..] + ":7072", some + some + ":7072",
        ];

        Assert.True(PeerKey.TryParse(key.ToString(), out PeerKey? read));
        Assert.Equal(key, read);
        Assert.All(bad, text => Assert.False(PeerKey.TryParse(text, out _), text));
        Assert.False(PeerKey.TryParse(null, out _));
    }
}
