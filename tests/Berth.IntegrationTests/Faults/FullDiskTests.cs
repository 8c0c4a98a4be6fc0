using System.Net;
using Berth.IntegrationTests.EndToEnd;
using Berth.IntegrationTests.Store;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// A disk that is full: reads and what was accepted go on, new work is refused with a time to come back, and when there
/// is room again everything is accepted without a restart.
/// </summary>
[Collection("server")]
public sealed class FullDiskTests
{
    [Fact]
    public async Task A_full_data_folder_refuses_new_work_and_recovers_by_itself()
    {
        await using MountedDisk disk = await MountedDisk.Ext4Async(192);
        await using ServerProcess server = await BusyboxServer.StartAsync(
            new ServerProcess(Path.Combine(disk.Path, "data")));
        TaskBook book = new(server, "full");
        string running = await book.SubmitAsync("running", TaskBook.Bytes(1, 1000), "sleep 3; exec cat");
        await book.SubmitAsync("before", TaskBook.Bytes(2, 20_000));
        disk.Fill();

        using HttpResponseMessage blob = await server.Http.PostAsync(
            "/v2/demo/raw/blobs/uploads/?digest=sha256:" + new string('0', 64), Bytes(TaskBook.Bytes(3, 5_000_000)));
        using HttpResponseMessage task = await RefusedAsync(book);
        Assert.Equal(HttpStatusCode.InsufficientStorage, blob.StatusCode);
        Assert.NotNull(blob.Headers.RetryAfter);
        Assert.Equal(HttpStatusCode.InsufficientStorage, task.StatusCode);
        Assert.NotNull(task.Headers.RetryAfter);
        Assert.Equal("succeeded", (await book.EndAsync(running)).State);
        using HttpResponseMessage call = await server.Http.PostAsync(
            "/v1/call/demo/busybox", new ByteArrayContent("still here"u8.ToArray()));
        Assert.Equal("still here", await call.Content.ReadAsStringAsync());

        disk.Free();
        await Condition.HoldsAsync(
            "tasks are accepted again",
            async () =>
                await book.TrySubmitAsync("after", TaskBook.Bytes(4, 300_000), null) is null ? "refused" : null);
        await server.Http.PushBlobAsync("demo/raw", TaskBook.Bytes(5, 5_000_000));
        await book.SettleAsync();
        await book.IsTrueAsync();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Full_logs_cost_lines_and_no_run()
    {
        await using ServerProcess server = new();
        await using MountedFolder logs = await MountedFolder.TmpfsAsync(Path.Combine(server.Data, "logs"), 1);
        await BusyboxServer.StartAsync(server);
        TaskBook book = new(server, "logs");
        for (int i = 0; i < 4; i++)
        {
            await book.SubmitAsync($"t{i}", TaskBook.Bytes(i, 1000), "cat; yes line | head -c 600000 >&2");
        }

        await book.IsTrueAsync();
        Assert.Contains("log", server.Log, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_full_writable_layer_is_its_programs_own_trouble()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        using HttpRequestMessage greedy = new(HttpMethod.Post, "/v1/call/demo/busybox");
        greedy.Headers.Add("Berth-Disk", "2Mi");
        greedy.Headers.Add(
            "Berth-Arg", ["sh", "-c", Uri.EscapeDataString("dd if=/dev/zero of=/big bs=1M count=8")]);

        using HttpResponseMessage failed = await server.Http.SendAsync(greedy);
        using HttpResponseMessage other = await server.Http.PostAsync(
            "/v1/call/demo/busybox", new ByteArrayContent("fine"u8.ToArray()));

        Assert.Equal(HttpStatusCode.BadGateway, failed.StatusCode);
        Assert.Contains("No space left", await failed.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal("fine", await other.Content.ReadAsStringAsync());
    }

    /// <summary>The first refusal; what little was left is taken by what is accepted before it.</summary>
    private static async Task<HttpResponseMessage> RefusedAsync(TaskBook book)
    {
        HttpResponseMessage? refused = null;
        int tried = 0;
        await Condition.HoldsAsync(
            "a task is refused",
            async () =>
            {
                refused = await book.AnswerAsync($"filling-{tried++}", TaskBook.Bytes(tried, 30_000));
                return refused.StatusCode == HttpStatusCode.Accepted ? "accepted" : null;
            });
        return refused!;
    }
}
