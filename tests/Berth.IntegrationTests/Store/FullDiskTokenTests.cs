using Berth.Api.Access;
using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Testing.Server;
using Xunit;

namespace Berth.IntegrationTests.Store;

/// <summary>On a full disk a token can still be taken away.</summary>
public sealed class FullDiskTokenTests
{
    [Fact]
    public async Task A_revoked_token_opens_nothing_though_it_can_not_be_written_down()
    {
        await using MountedDisk disk = await MountedDisk.TmpfsAsync(1);
        TokenStore tokens = TokenStore.Open(disk.Path, TimeProvider.System);
        tokens.Create("keeper", Role.Admin, null);
        TokenCreated lost = tokens.Create("lost", Role.Pull, null);
        string filler = Path.Combine(disk.Path, "filler");
        Assert.ThrowsAny<IOException>(() => File.WriteAllBytes(filler, new byte[2 * 1024 * 1024]));

        BerthException create = Assert.Throws<BerthException>(() => tokens.Create("new", Role.Pull, null));
        BerthException revoke = Assert.Throws<BerthException>(() => tokens.Revoke(lost.Token.Id));

        Assert.Equal((ErrorCode.StorageFull, ErrorCode.StorageFull), (create.Code, revoke.Code));
        Assert.Null(tokens.Find(lost.Secret));
        tokens.Flush();
        File.Delete(filler);
        tokens.Flush();
        Assert.Null(TokenStore.Open(disk.Path, TimeProvider.System).Find(lost.Secret));
    }
}
