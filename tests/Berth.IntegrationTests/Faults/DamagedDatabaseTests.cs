using System.Net;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// Bits of the database flip on the disk: the server refuses to start and names the file, or tells nothing but what was
/// acknowledged. BERTH_TEST_FLIPS sets how many.
/// </summary>
[Collection("server")]
public sealed class DamagedDatabaseTests
{
    private const int PageBytes = 4096;

    // A frame of the log has 24 bytes of its own.
    private const int FrameBytes = PageBytes + 24;

    [Fact]
    public async Task A_flipped_bit_is_named_or_changes_nothing_that_is_told()
    {
        int flips = Amount.Of("BERTH_TEST_FLIPS", 8);
        Random random = new(Seed.Choose());
        await using ServerProcess server = await BusyboxServer.StartAsync();
        TaskBook book = new(server, "flips");
        for (int i = 0; i < 40; i++)
        {
            await book.EndAsync(await book.SubmitAsync($"t{i}", TaskBook.Bytes(i, 3000)));
        }

        await server.KillAsync();
        Dictionary<string, byte[]> killed = Read(server);
        await server.StartAsync();
        await server.StopAsync();
        Dictionary<string, byte[]> stopped = Read(server);
        int refused = 0;
        for (int flip = 0; flip < flips; flip++)
        {
            Dictionary<string, byte[]> files = Copy(flip % 2 == 0 ? stopped : killed);
            // What is wrong in the last commits of a log can't be told from what a power cut leaves of one.
            string name = flip % 4 == 1 ? "berth.db-wal" : "berth.db";
            int end = files[name].Length - (name == "berth.db" ? 0 : 20 * FrameBytes);
            files[name][random.Next(end)] ^= (byte)(1 << random.Next(8));
            Write(server, files);
            refused += await IsRefusedOrTrueAsync(server, book) ? 1 : 0;
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{flips} flips in {stopped["berth.db"].Length / PageBytes} pages: {refused} starts refused, the others "
            + "true");
        Write(server, stopped);
        await server.StartAsync();
        await book.IsTrueAsync();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Pages_that_change_under_a_running_server_are_never_told_and_nothing_new_is_taken()
    {
        await using ServerProcess server = await BusyboxServer.StartAsync();
        TaskBook book = new(server, "live");
        for (int i = 0; i < 60; i++)
        {
            await book.EndAsync(await book.SubmitAsync($"t{i}", TaskBook.Bytes(i, 3000)));
        }

        await server.StopAsync();
        byte[] whole = await File.ReadAllBytesAsync(Path.Combine(server.Data, "berth.db"));
        await server.StartAsync();
        await Task.Delay(TimeSpan.FromMilliseconds(300));
        await using (FileStream file = new(
            Path.Combine(server.Data, "berth.db"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            for (int page = 1; page < whole.Length / PageBytes; page++)
            {
                file.Position = (page * PageBytes) + 1000;
                file.WriteByte((byte)(whole[(page * PageBytes) + 1000] ^ 16));
            }
        }

        await Condition.HoldsAsync(
            "new work is refused as of a damaged store",
            async () =>
            {
                using HttpResponseMessage answer = await book.AnswerAsync("new", TaskBook.Bytes(1, 3000));
                string text = await answer.Content.ReadAsStringAsync();
                return answer.StatusCode == HttpStatusCode.InternalServerError && text.Contains("storage_damaged")
                    ? null : text;
            });
        ToolResult backup = await server.BerthAsync("backup", Path.Combine(server.Folder, "damaged.tar"));
        Assert.NotEqual(0, backup.ExitCode);
        Assert.Contains("berth.db", backup.Error, StringComparison.Ordinal);
        await server.StopAsync();
        ToolResult doctor = await Tool.RunAsync(
            ServerProcess.Executable, ["doctor", "--data", server.Data, "-o", "json"], [], server.Variables);
        Assert.Contains("is not as it was written", doctor.Text, StringComparison.Ordinal);
    }

    /// <summary>Whether the start was refused; where it was not, all is true.</summary>
    private static async Task<bool> IsRefusedOrTrueAsync(ServerProcess server, TaskBook book)
    {
        server.Begin();
        if (await server.BecomesReadyAsync())
        {
            await book.IsTrueAsync();
            await server.KillAsync();
            return false;
        }

        Assert.Equal(65, await server.EndsAsync());
        Assert.Contains("berth.db", server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1]);
        return true;
    }

    private static Dictionary<string, byte[]> Read(ServerProcess server) => Directory
        .EnumerateFiles(server.Data, "berth.db*").Where(f => !f.EndsWith("-shm", StringComparison.Ordinal))
        .ToDictionary(f => Path.GetFileName(f), File.ReadAllBytes);

    private static Dictionary<string, byte[]> Copy(Dictionary<string, byte[]> files) =>
        files.ToDictionary(f => f.Key, f => f.Value.ToArray());

    private static void Write(ServerProcess server, Dictionary<string, byte[]> files)
    {
        foreach (string old in Directory.EnumerateFiles(server.Data, "berth.db*"))
        {
            File.Delete(old);
        }

        foreach ((string name, byte[] content) in files)
        {
            File.WriteAllBytes(Path.Combine(server.Data, name), content);
        }
    }
}
