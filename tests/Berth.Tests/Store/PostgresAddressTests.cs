using Berth.Server.Store.Postgres;
using Xunit;

namespace Berth.Tests.Store;

public sealed class PostgresAddressTests
{
    [Theory]
    [InlineData("postgres://me:secret@db.example:6543/berth", "postgres://me@db.example:6543/berth")]
    [InlineData("postgresql://me@db.example/berth", "postgres://me@db.example:5432/berth")]
    [InlineData("postgres://me:s%40cret%2F@db/berth?sslmode=verify-full", "postgres://me@db:5432/berth")]
    [InlineData("postgres://me:secret@/berth?host=/run/postgresql", "postgres://me@/berth?host=/run/postgresql")]
    [InlineData("postgres://me@[::1]:7/berth", "postgres://me@::1:7/berth")]
    public void An_address_is_shown_without_its_password(string text, string shown)
    {
        Assert.True(PostgresAddress.TryParse(text, out PostgresAddress? address, out _));

        Assert.Equal(shown, address.ToString());
        Assert.Equal(text.Contains(':') && text.Contains("cret"), address.HasPassword);
    }

    [Theory]
    [InlineData("mysql://me:secret@db/berth", "postgres://")]
    [InlineData("postgres://:secret@db/berth", "user")]
    [InlineData("postgres://me:secret@db", "database")]
    [InlineData("postgres://me:secret@/berth", "host")]
    [InlineData("postgres://me:secret@db:x/berth", "port")]
    [InlineData("postgres://me:secret@db:0/berth", "port")]
    [InlineData("postgres://me:secret@one,two/berth", "hosts")]
    [InlineData("postgres://me:secret@db/berth?sslmode=perhaps", "sslmode")]
    [InlineData("postgres://me:secret@db/berth?target_session_attrs=any", "target_session_attrs")]
    public void What_is_no_address_is_refused_without_repeating_it(string text, string told)
    {
        Assert.False(PostgresAddress.TryParse(text, out _, out string? problem));

        Assert.Contains(told, problem, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", problem, StringComparison.Ordinal);
    }
}
