using System.Net.Http.Json;
using Berth.Api.Containers;
using Berth.IntegrationTests.EndToEnd;
using Berth.IntegrationTests.Store;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// The disk below the data folder fills up under containers: their writable layers are sparse files that can't grow,
/// their volumes folders of it, and their logs files. Programs are told, the server goes on, and what was written out
/// before is there when there is room again.
/// </summary>
[Collection("server")]
public sealed class FullDiskContainerTests
{
    /// <summary>Keeps something in its layer and its volume, then counts into its log for as long as it runs.</summary>
    private const string Counting = """
        if ! [ -e /kept ]; then
          echo kept | dd of=/kept conv=fsync; echo kept | dd of=/v/kept conv=fsync
        fi
        i=0
        while :; do i=$((i+1)); echo line $i; sleep 0.01; done
        """;

    [Fact]
    public async Task A_disk_that_fills_up_under_containers_costs_what_did_not_fit_and_nothing_else()
    {
        await using MountedDisk disk = await MountedDisk.Ext4Async(192);
        await using ServerProcess server = await BusyboxServer.StartAsync(
            new ServerProcess(Path.Combine(disk.Path, "data")));
        await BerthAsync(
            server, "run", "-d", "--name", "web", "--disk", "96Mi", "-v", "data:/v", "demo/busybox", "sh", "-c",
            Counting);
        await Condition.HoldsAsync(
            "it counts",
            async () => (await BerthAsync(server, "logs", "web")).Contains("line 1", StringComparison.Ordinal)
                ? null : "no line");

        disk.Fill();
        ToolResult volume = await server.BerthAsync(
            "exec", "web", "dd", "if=/dev/zero", "of=/v/big", "bs=1M", "count=8");
        ToolResult layer = await server.BerthAsync(
            "exec", "web", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=48", "conv=fsync");
        ToolResult further = await server.BerthAsync("run", "-d", "--name", "further", "demo/busybox", "sleep", "60");
        string volumes = await VolumesRefusedAsync(server, disk);

        Assert.Contains("No space left", volume.Error, StringComparison.Ordinal);
        Assert.NotEqual(0, layer.ExitCode);
        Assert.Matches("No space left|Input/output error|Read-only file system", layer.Error);
        Assert.Contains("is full", further.Error, StringComparison.Ordinal);
        Assert.Contains("storage_full", volumes, StringComparison.Ordinal);
        Assert.Equal("here", await BerthAsync(server, "run", "demo/busybox", "echo", "here"));
        await Condition.HoldsAsync(
            "the server says that lines are lost",
            () => server.Log.Contains("can't be written", StringComparison.Ordinal));

        disk.Free();
        await Condition.HoldsAsync(
            "the log goes on and says what is missing",
            async () => (await server.BerthAsync("logs", "web")).Error is var notices
                && notices.Contains("lines are missing here", StringComparison.Ordinal) ? null : notices);
        await BerthAsync(server, "restart", "-t", "0", "web");
        Assert.Equal("kept", await BerthAsync(server, "exec", "web", "cat", "/kept"));
        Assert.Equal("kept", await BerthAsync(server, "exec", "web", "cat", "/v/kept"));
        await BerthAsync(
            server, "exec", "web", "sh", "-c",
            // Other names: of a file that did not fit, the kernel may leave one that nobody can open.
            "dd if=/dev/zero of=/new bs=1M count=16 conv=fsync && dd if=/dev/zero of=/v/new bs=1M count=8 conv=fsync");
        await BerthAsync(server, "volume", "create", "after");
        await BerthAsync(server, "rm", "-f", "web");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>Makes volumes until one is refused: each takes a block, and what others let go of may have made room
    /// for a few.</summary>
    private static async Task<string> VolumesRefusedAsync(ServerProcess server, MountedDisk disk)
    {
        string? refusal = null;
        int tried = 0;
        await Condition.HoldsAsync(
            "a volume is refused",
            async () =>
            {
                disk.Fill();
                using HttpResponseMessage made = await server.Http.PostAsJsonAsync(
                    "/v1/volumes", new VolumeRequest($"more{tried++}"), ContainerJson.Default.VolumeRequest);
                refusal = made.IsSuccessStatusCode ? null : await made.Content.ReadAsStringAsync();
                return refusal is null ? "made" : null;
            });
        return refusal!;
    }

    private static async Task<string> BerthAsync(ServerProcess server, params string[] arguments) =>
        (await server.BerthAsync(arguments)).Succeed();
}
