using Berth.Core.Secrets;
using Xunit;

namespace Berth.Tests.Secrets;

/// <summary>How a use of a secret is written.</summary>
public sealed class SecretUseTests
{
    [Theory]
    [InlineData("db", "db", "db", null)]
    [InlineData("db:/run/secrets/password.txt", "db", "password.txt", null)]
    [InlineData("db:env=DB_PASSWORD", "db", null, "DB_PASSWORD")]
    public void A_use_says_which_secret_is_where(string text, string secret, string? file, string? variable)
    {
        Assert.True(SecretUse.TryParse(text, out SecretUse? use));
        Assert.Equal(new SecretUse(secret, file, variable), use);
        Assert.Equal(text, use.Text);
        Assert.Equal(use, SecretUse.Restore(use.Text));
    }

    [Theory]
    [InlineData("")]
    [InlineData(":env=A")]
    [InlineData("db:")]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("db:/run/secrets/")]
    [InlineData("db:/run/secrets/..")]
    [InlineData("db:/run/secrets/a/b")]
    [InlineData("db:/etc/passwd")]
    [InlineData("db:env=")]
    [InlineData("db:env=A=B")]
    [InlineData("db:env=1A")]
    [InlineData("db:env=BERTH_TOKEN")]
    [InlineData("db:env=A\n")]
    public void What_leads_anywhere_else_is_none(string text) => Assert.False(SecretUse.TryParse(text, out _));

    [Fact]
    public void Whatever_is_read_leads_to_one_file_of_the_folder_or_one_variable()
    {
        Random random = new(11);
        const string Alphabet = "aZ9.-_/:=\n\0 env=/run/secrets/..é";
        int read = 0;
        for (int i = 0; i < 200_000; i++)
        {
            string text = (i % 3) switch
            {
                0 => "",
                1 => "s:/run/secrets/",
                _ => "s:env=",
            } + string.Concat(Enumerable.Range(0, random.Next(6)).Select(_ => Alphabet[random.Next(Alphabet.Length)]));
            if (!SecretUse.TryParse(text, out SecretUse? use))
            {
                continue;
            }

            read++;
            Assert.Equal(use.File is null, use.Variable is not null);
            Assert.True(SecretName.IsValid(use.Secret) && (use.File is null || SecretName.IsValid(use.File)));
            Assert.DoesNotContain(use.Variable ?? "", c => !char.IsAsciiLetterOrDigit(c) && c != '_');
            Assert.Equal(use, SecretUse.Restore(use.Text));
        }

        Assert.True(read > 1000);
    }
}
