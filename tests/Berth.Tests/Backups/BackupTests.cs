using System.Diagnostics;
using System.Net;
using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Server.Backups;
using Berth.Testing.Content;
using Berth.Testing.Nodes;
using Berth.Testing.Registry;
using Berth.Testing.Server;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Backups;

/// <summary>What a server keeps goes into a backup and comes out of it; what is no whole one makes no server.</summary>
public sealed class BackupTests
{
    private static async Task<string> ShellAsync(string script)
    {
        ProcessStartInfo start = new("bash", ["-euc", script])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        using Process shell = Process.Start(start)!;
        string printed = await shell.StandardOutput.ReadToEndAsync(None);
        await shell.WaitForExitAsync(None);
        Assert.Equal(0, shell.ExitCode);
        return printed;
    }

    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_restored_server_has_runs_results_images_and_tokens()
    {
        using TemporaryFolder folder = new();
        byte[] backup;
        byte[] body = new byte[100_000];
        new Random(1).NextBytes(body);
        string small;
        string large;
        string token;
        byte[] manifest;
        await using (ServerRig rig = await ServerRig.StartAsync())
        {
            token = rig.AdminToken;
            small = await SubmitAsync(rig, "short"u8.ToArray());
            large = await SubmitAsync(rig, body);
            manifest = await rig.Client.PushImageAsync("demo/pushed", "1", new string('\0', 1024));
            backup = await rig.Client.GetByteArrayAsync("/v1/backup", None);
            Assert.False(File.Exists(Path.Combine(rig.Folder, "backup/berth.db")));
        }

        await RestoreAsync(backup, folder["data"]);

        await using ServerRig restored = await ServerRig.StartAsync(folder: new TemporaryFolder(folder["data"]));
        Assert.Equal(token, restored.AdminToken);
        Assert.Equal("short", await restored.Client.GetStringAsync($"/v1/runs/{small}/result", None));
        Assert.Equal(body, await restored.Client.GetByteArrayAsync($"/v1/runs/{large}/result", None));
        Assert.Equal(manifest, await restored.Client.GetByteArrayAsync("/v2/demo/pushed/manifests/1", None));
    }

    [Fact]
    public async Task What_is_in_a_volume_comes_back_with_owners_attributes_and_names()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can give files to others.");
        using TemporaryFolder folder = new();
        byte[] backup;
        await using (ServerRig rig = await ServerRig.StartAsync())
        {
            string volume = Directory.CreateDirectory(Path.Combine(rig.Folder, "volumes/pages/db")).FullName;
            await ShellAsync(
                $"cd {volume} && echo one > a && ln a b && ln -s a link && echo t > keep.tmp && mkdir shut "
                + "&& echo in > shut/x && setfattr -n user.note -v hello a && chown 1000:1001 a && chown -h 7:7 link "
                + "&& chown 999:999 shut && chmod 4755 a && chmod 500 shut");
            backup = await rig.Client.GetByteArrayAsync("/v1/backup", None);
        }

        await RestoreAsync(backup, folder["data"]);

        string listing = await ShellAsync(
            $"cd {folder["data"]}/volumes/pages/db && stat -c '%n %a %u:%g %h' a b link keep.tmp shut shut/x "
            + "&& getfattr --only-values -n user.note b && echo && cat b shut/x keep.tmp && readlink link "
            + "&& [ a -ef b ] && echo same");
        Assert.Equal(
            "a 4755 1000:1001 2\nb 4755 1000:1001 2\nlink 777 7:7 1\nkeep.tmp 644 0:0 1\nshut 500 999:999 2\n"
            + "shut/x 644 0:0 1\nhello\none\nin\nt\na\nsame\n",
            listing);
    }

    [Fact]
    public async Task Writable_layers_of_containers_are_in_a_backup()
    {
        using TemporaryFolder folder = new();
        byte[] backup;
        string leftover;
        await using (ServerRig rig = await ServerRig.StartAsync())
        {
            ((FakeStorage)rig.Node.Storage).Use(new SandboxExtras("c0ffee", ReadOnlyRoot: false, [], null));
            leftover = Path.Combine(rig.Folder, "backup");
            backup = await rig.Client.GetByteArrayAsync("/v1/backup", None);
            Assert.False(Directory.Exists(leftover));
        }

        await RestoreAsync(backup, folder["data"]);

        Assert.Equal("layer c0ffee", await File.ReadAllTextAsync(folder["data/containers/c0ffee.ext4"], None));
    }

    [Fact]
    public async Task A_changed_blob_is_named_and_makes_no_server()
    {
        using TemporaryFolder folder = new();
        byte[] backup = await BackupWithAsync("a layer that will be changed");
        int at = backup.AsSpan().IndexOf("that will be changed"u8);
        backup[at] ^= 1;

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => RestoreAsync(backup, folder["data"]));

        Assert.Equal(ErrorCode.DigestMismatch, refused.Code);
        Assert.Contains("sha256:", refused.Message, StringComparison.Ordinal);
        await IsNoServerAsync(folder["data"]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(700)]
    [InlineData(20_000)]
    [InlineData(-3000)]
    public async Task A_backup_that_breaks_off_makes_no_server(int length)
    {
        using TemporaryFolder folder = new();
        byte[] backup = await BackupWithAsync("whole");

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => RestoreAsync(backup[..(length < 0 ? backup.Length + length : length)], folder["data"]));

        Assert.Equal(ErrorCode.ArchiveRefused, refused.Code);
        await IsNoServerAsync(folder["data"]);
    }

    [Fact]
    public async Task A_folder_that_holds_something_is_left_as_it_is()
    {
        using TemporaryFolder folder = new();
        await File.WriteAllTextAsync(folder["precious"], "mine", None);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => RestoreAsync([], folder.Path));

        Assert.Equal(ErrorCode.InvalidConfiguration, refused.Code);
        Assert.Equal([folder["precious"]], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task One_backup_at_a_time_and_no_collection_meanwhile()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        using (await rig.Server.Rooms.Backups.BeginAsync(None))
        {
            using HttpResponseMessage second = await rig.Client.GetAsync("/v1/backup", None);
            Task<HttpResponseMessage> collection = rig.Client.PostAsync("/v1/images/collect", null, None);

            await ExpectAsync(HttpStatusCode.Conflict, second);
            Assert.False(collection.IsCompleted);
        }

        Assert.NotEmpty(await rig.Client.GetByteArrayAsync("/v1/backup", None));
    }

    private static async Task<byte[]> BackupWithAsync(string layer)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        await rig.Client.PushBlobAsync("demo/raw", Encoding.UTF8.GetBytes(layer));
        return await rig.Client.GetByteArrayAsync("/v1/backup", None);
    }

    private static async Task<string> SubmitAsync(ServerRig rig, byte[] body)
    {
        using HttpRequestMessage request = ServerRig.Call(["cat"], new ByteArrayContent(body), "tasks");
        using HttpResponseMessage accepted = await rig.SendAsync(request);
        await ExpectAsync(HttpStatusCode.Accepted, accepted);
        string address = accepted.Headers.Location!.OriginalString;
        string view = await rig.Client.GetStringAsync($"{address}?wait=30s", None);
        Assert.Contains("succeeded", view, StringComparison.Ordinal);
        return address.Split('/')[^1];
    }

    private static async Task RestoreAsync(byte[] backup, string folder)
    {
        using MemoryStream stream = new(backup);
        await BackupRestore.RestoreAsync(stream, folder, _ => { }, None);
    }

    private static async Task IsNoServerAsync(string folder)
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => ServerRig.StartAsync(folder: new TemporaryFolder(folder)));
        Assert.Equal(ErrorCode.InvalidConfiguration, refused.Code);
    }
}
