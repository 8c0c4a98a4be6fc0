using Berth.Server.Access;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Access;

/// <summary>A connection that sends its token again is not asked for more than whether the token still holds.</summary>
public sealed class KnownCallerTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("berth-known-").FullName;
    private readonly ManualTime time = new();

    [Fact]
    public void One_that_was_revoked_holds_no_more()
    {
        TokenStore tokens = TokenStore.Open(folder, time);
        string text = tokens.Create("ci", Role.User, null).Secret;
        Caller caller = tokens.Find(text)!;
        Assert.True(tokens.Has(caller));

        tokens.Revoke(caller.TokenId);

        Assert.False(tokens.Has(caller));
    }

    [Fact]
    public void One_that_expires_holds_no_more()
    {
        TokenStore tokens = TokenStore.Open(folder, time);
        Caller caller = tokens.Find(tokens.Create("ci", Role.User, TimeSpan.FromHours(1)).Secret)!;

        time.Advance(TimeSpan.FromMinutes(59));
        Assert.True(tokens.Has(caller));
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.False(tokens.Has(caller));
    }

    [Fact]
    public void Only_the_same_string_is_known()
    {
        KnownCaller known = new();
        Caller caller = new("id", "ci", Role.User);
        string header = "Bearer " + new string('x', 10);
        known.Learn(header, caller);

        Assert.Same(caller, known.Of(header));
        Assert.Null(known.Of(new string(header)));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
