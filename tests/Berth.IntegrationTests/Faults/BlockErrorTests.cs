using System.Collections.Concurrent;
using System.Net;
using Berth.Core.Images;
using Berth.IntegrationTests.EndToEnd;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// Blocks of the disk below the data folder can't be written, or not be read: the server says so by name, acknowledges
/// nothing that it can't keep, and has everything else when the disk is in order again.
/// </summary>
[Collection("server")]
public sealed class BlockErrorTests
{
    [Fact]
    public async Task Writes_that_fail_are_refused_by_name_and_lose_nothing_that_was_accepted()
    {
        int rounds = Amount.Of("BERTH_TEST_DISK_FAILURES", 1);
        await using FailingDisk disk = await FailingDisk.MakeAsync(256);
        await using ServerProcess server = await BusyboxServer.StartAsync(
            new ServerProcess(Path.Combine(disk.Folder, "data")));
        TaskBook book = new(server, "blocks");
        ConcurrentDictionary<Digest, byte[]> blobs = [];
        for (int round = 0; round < rounds; round++)
        {
            ConcurrentBag<string> refusals = [];
            using CancellationTokenSource enough = new();
            Task[] callers =
            [
                .. Enumerable.Range(0, 3)
                    .Select(c => SubmitAsync(server, book, $"{round}-{c}", refusals, enough.Token)),
                PushAsync(server, round, blobs, refusals, enough.Token),
            ];
            int before = book.Accepted;
            await Condition.HoldsAsync(
                "tasks and blobs are accepted",
                () => (book.Accepted > before + 20 && blobs.Count > 3 * (round + 1)) || callers.Any(c => c.IsFaulted));
            disk.FailWrites();
            await Condition.HoldsAsync(
                "tasks and blobs are refused",
                () => (refusals.Contains("task") && refusals.Contains("blob")) || callers.Any(c => c.IsFaulted));
            await enough.CancelAsync();
            // Between two tries to write it takes itself for ready.
            await Condition.HoldsAsync(
                "the server says that it is not ready",
                async () =>
                {
                    using HttpResponseMessage ready = await server.Http.GetAsync("/readyz");
                    return ready.StatusCode == HttpStatusCode.ServiceUnavailable ? null : "ready";
                });
            try
            {
                await Task.WhenAll(callers);
            }
            finally
            {
                await server.KillAsync();
            }

            await disk.ReplaceAsync();
            await server.StartAsync();
            await book.SettleAsync();
            await book.IsTrueAsync();
            foreach ((Digest digest, byte[] content) in blobs)
            {
                Assert.Equal(content, await server.Http.GetByteArrayAsync($"/v2/demo/raw/blobs/{digest}"));
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{rounds} failures, {book.Accepted} tasks and {blobs.Count} blobs acknowledged: all there");
        await new PushBook(server, "demo/raw", 0).CancelUploadsAsync();
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task Reads_that_fail_are_refused_by_name_and_work_again_with_the_disk()
    {
        await using FailingDisk disk = await FailingDisk.MakeAsync(128);
        await using ServerProcess server = await BusyboxServer.StartAsync(
            new ServerProcess(Path.Combine(disk.Folder, "data")));
        TaskBook book = new(server, "reads");
        byte[] body = TaskBook.Bytes(1, 3_000_000);
        string id = await book.SubmitAsync("large", body, null);
        await book.EndAsync(id);
        await server.Http.PushBlobAsync("demo/raw", body);
        Assert.Equal(0, await server.StopAsync());
        await disk.RemountAsync();
        await server.StartAsync();
        _ = server.Http;
        string[] addresses = [$"/v2/demo/raw/blobs/{Digest.Sha256(body)}", $"/v1/runs/{id}/result"];

        disk.FailReads();
        foreach (string address in addresses)
        {
            // A part may be in memory: then the answer breaks off.
            byte[]? got = null;
            HttpStatusCode? status = null;
            try
            {
                using HttpResponseMessage answer = await server.Http.GetAsync(address);
                (status, got) = (answer.StatusCode, await answer.Content.ReadAsByteArrayAsync());
            }
            catch (HttpRequestException)
            {
                // Broken off.
            }

            Assert.True(status is null or HttpStatusCode.ServiceUnavailable, $"{address}: {status}, {got?.Length}");
        }

        disk.Heal();
        foreach (string address in addresses)
        {
            Assert.Equal(body, await server.Http.GetByteArrayAsync(address));
        }

        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    private static async Task SubmitAsync(
        ServerProcess server, TaskBook book, string caller, ConcurrentBag<string> refusals, CancellationToken enough)
    {
        for (int i = 0; !enough.IsCancellationRequested; i++)
        {
            using HttpResponseMessage answer = await book.AnswerAsync(
                $"{caller}-{i}", TaskBook.Bytes(i, i % 3 == 0 ? 100_000 : 500));
            if (answer.StatusCode != HttpStatusCode.Accepted)
            {
                await IsNamedAsync(server, answer);
                refusals.Add("task");
                await Task.Delay(TimeSpan.FromMilliseconds(20), CancellationToken.None);
            }
        }
    }

    private static async Task PushAsync(
        ServerProcess server, int round, ConcurrentDictionary<Digest, byte[]> blobs, ConcurrentBag<string> refusals,
        CancellationToken enough)
    {
        for (int i = 0; !enough.IsCancellationRequested; i++)
        {
            byte[] content = TaskBook.Bytes((round * 100_000) + i + 7, 40_000);
            Digest digest = Digest.Sha256(content);
            using HttpResponseMessage answer = await server.Http.PostAsync(
                $"/v2/demo/raw/blobs/uploads/?digest={digest}", Bytes(content), CancellationToken.None);
            if (answer.StatusCode == HttpStatusCode.Created)
            {
                blobs[digest] = content;
                continue;
            }

            await IsNamedAsync(server, answer);
            refusals.Add("blob");
            await Task.Delay(TimeSpan.FromMilliseconds(20), CancellationToken.None);
        }
    }

    private static async Task IsNamedAsync(ServerProcess server, HttpResponseMessage answer)
    {
        string text = await answer.Content.ReadAsStringAsync();
        if (answer.StatusCode == HttpStatusCode.InternalServerError)
        {
            // Until the cause is in the log.
            await Task.Delay(TimeSpan.FromSeconds(1));
        }

        Assert.True(
            answer.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.InsufficientStorage,
            $"{answer}\n{text}\n{server.Log}");
        Assert.NotNull(answer.Headers.RetryAfter);
        Assert.Matches("disk|store", text);
    }
}
