using System.Security.Cryptography;
using System.Text;
using Berth.Testing.Fuzzing;
using Xunit;

namespace Berth.Tests.Fuzzing;

/// <summary>
/// A number gives the text that it always gave. The texts expected here were made by another program that follows the
/// same steps: where they change, no number of an old failure means anything any more.
/// </summary>
public sealed class MutatorTests
{
    private static readonly byte[][] Seeds = ["demo/app:1.2"u8.ToArray(), """{"a":[1,2],"b":"c"}"""u8.ToArray()];

    [Theory]
    [InlineData(7, "demo/app:1.22")]
    [InlineData(19, """{"a":[1],"b":"c"},2],"b":"c"}""")]
    [InlineData(35, "?demo/app:1pp:1.2")]
    public void A_number_gives_the_text_that_it_always_gave(int number, string text) =>
        Assert.Equal(text, Encoding.Latin1.GetString(new Mutator(Seeds).Make(number)));

    [Fact]
    public void So_do_a_thousand_numbers()
    {
        Mutator mutator = new(Seeds);

        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (int number = 0; number < 1000; number++)
        {
            hash.AppendData(mutator.Make(number));
        }

        Assert.Equal(
            "d43bbb4f3876102a15dc593d617f37f6d7cf03a9ec835e543f1e06e63bb39058",
            Convert.ToHexStringLower(hash.GetHashAndReset()));
    }
}
