using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Berth.Api.Runs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// A caller's own record of the tasks it handed in, to be compared with what the server says in the end: each with a
/// key of its own, so that handing in again after a lost answer is safe. Every program gives back its input.
/// </summary>
internal sealed class TaskBook(ServerProcess server, string name)
{
    /// <summary>Attempts that a task may take: more than a server is killed in any test.</summary>
    private const int Attempts = 100;

    private readonly List<Entry> entries = [];
    private readonly Lock gate = new();

    /// <summary>Tasks that got their 202.</summary>
    public int Accepted
    {
        get
        {
            lock (gate)
            {
                return entries.Count(e => e.Id is not null);
            }
        }
    }

    /// <summary>Ids of the tasks that got their 202.</summary>
    public IReadOnlyList<string> Ids
    {
        get
        {
            lock (gate)
            {
                return [.. entries.Select(e => e.Id).OfType<string>()];
            }
        }
    }

    public static byte[] Bytes(int seed, int length)
    {
        byte[] body = new byte[length];
        new Random(seed).NextBytes(body);
        return body;
    }

    /// <summary>A request that hands a task in; a shell script when one is given, else <c>cat</c>.</summary>
    public HttpRequestMessage Request(string key, HttpContent body, string? script, Uri? callback = null)
    {
        HttpRequestMessage request = new(HttpMethod.Post, "/v1/tasks/demo/busybox") { Content = body };
        request.Headers.Add("Idempotency-Key", $"{name}-{key}");
        request.Headers.Add("Berth-Label", $"book={name}");
        request.Headers.Add("Berth-Attempts", Attempts.ToString(CultureInfo.InvariantCulture));
        if (callback is not null)
        {
            request.Headers.Add("Berth-Callback", callback.AbsoluteUri);
        }

        foreach (string argument in script is null ? [] : (string[])["sh", "-c", script])
        {
            request.Headers.Add("Berth-Arg", Uri.EscapeDataString(argument));
        }

        return request;
    }

    /// <summary>Hands a task in and notes the id of its 202.</summary>
    public Task<string> SubmitAsync(string key, byte[] body, string? script = null, Uri? callback = null) =>
        SubmitAsync(Note(key, body), body, script, callback);

    /// <summary>
    /// As <see cref="SubmitAsync(string, byte[], string?, Uri?)"/>, again and again until there is an answer.
    /// </summary>
    public async Task SubmitThroughKillsAsync(string key, byte[] body, string? script)
    {
        Entry entry = Note(key, body);
        await Condition.HoldsAsync(
            $"task {key} is accepted",
            async () =>
            {
                try
                {
                    await SubmitAsync(entry, body, script, null);
                    return null;
                }
                catch (Exception error) when (ConnectionLoss.IsIn(error))
                {
                    return error.Message;
                }
            });
    }

    /// <summary>
    /// Hands a task in once. Null where the answer does not come or says that the server is stopping or full; whether
    /// it was accepted is settled later.
    /// </summary>
    /// <param name="at">One of several servers with the same store; null for the one of this book.</param>
    public async Task<string?> TrySubmitAsync(
        string key, byte[] body, string? script, Uri? callback = null, ServerProcess? at = null)
    {
        Entry entry = Note(key, body);
        entry.Again = () => SubmitAsync(entry, body, script, callback);
        using HttpRequestMessage request = Request(key, new ByteArrayContent(body), script, callback);
        try
        {
            using HttpResponseMessage answer = await (at ?? server).Http.SendAsync(
                request, HttpCompletionOption.ResponseHeadersRead);
            return answer.StatusCode is HttpStatusCode.ServiceUnavailable or HttpStatusCode.TooManyRequests
                or HttpStatusCode.InsufficientStorage ? null : await NoteAsync(entry, answer);
        }
        catch (Exception error) when (ConnectionLoss.IsIn(error))
        {
            return null;
        }
    }

    /// <summary>Hands a task in once and gives the answer, whatever it is.</summary>
    public async Task<HttpResponseMessage> AnswerAsync(string key, byte[] body)
    {
        Entry entry = Note(key, body);
        entry.Again = () => SubmitAsync(entry, body, null, null);
        using HttpRequestMessage request = Request(key, new ByteArrayContent(body), null);
        HttpResponseMessage answer = await server.Http.SendAsync(request);
        if (answer.StatusCode == HttpStatusCode.Accepted)
        {
            await NoteAsync(entry, answer);
        }

        return answer;
    }

    /// <summary>Hands in again what is in doubt: the key tells whether it was accepted.</summary>
    public async Task SettleAsync()
    {
        List<Entry> doubtful;
        lock (gate)
        {
            doubtful = [.. entries.Where(e => e.Id is null && e.Again is not null)];
        }

        foreach (Entry entry in doubtful)
        {
            await entry.Again!();
        }
    }

    /// <summary>
    /// Every task that was accepted has come to one end, the good one, with its whole result; none is there twice, and
    /// its key still leads to it.
    /// </summary>
    public async Task IsTrueAsync()
    {
        List<Entry> accepted;
        lock (gate)
        {
            accepted = [.. entries.Where(e => e.Id is not null)];
        }

        foreach (Entry entry in accepted)
        {
            await IsTrueAsync(entry);
        }

        IReadOnlyList<RunView> runs = await RunsAsync();
        Assert.Equal(accepted.Select(e => e.Id).Order(), runs.Select(r => r.Id).Order());
    }

    /// <summary>All runs of this book that the server knows.</summary>
    public async Task<IReadOnlyList<RunView>> RunsAsync()
    {
        List<RunView> runs = [];
        string? cursor = "";
        while (cursor is not null)
        {
            string next = cursor.Length == 0 ? "" : $"&cursor={cursor}";
            RunPage page = await ReadAsync<RunPage>($"/v1/runs?label=book={name}&limit=100{next}");
            runs.AddRange(page.Runs);
            cursor = page.Next;
        }

        return runs;
    }

    public Task<RunView> FindAsync(string id) => ReadAsync<RunView>($"/v1/runs/{id}");

    public Task<RunWhy> WhyAsync(string id) => ReadAsync<RunWhy>($"/v1/runs/{id}/why");

    /// <summary>Waits until the run has an end; says what it was.</summary>
    public async Task<RunView> EndAsync(string id)
    {
        RunView? view = null;
        await Condition.HoldsAsync(
            $"run {id} has ended",
            async () =>
            {
                view = await ReadAsync<RunView>($"/v1/runs/{id}?wait=5s");
                return view.EndedAt is null ? view.ToString() : null;
            });
        return view!;
    }

    private Entry Note(string key, byte[] body)
    {
        lock (gate)
        {
            Entry? entry = entries.Find(e => e.Key == key);
            if (entry is null)
            {
                entry = new Entry(key, SHA256.HashData(body));
                entries.Add(entry);
            }

            return entry;
        }
    }

    private async Task<string> SubmitAsync(Entry entry, byte[] body, string? script, Uri? callback)
    {
        using HttpRequestMessage request = Request(entry.Key, new ByteArrayContent(body), script, callback);
        using HttpResponseMessage answer = await server.Http.SendAsync(
            request, HttpCompletionOption.ResponseHeadersRead);
        return await NoteAsync(entry, answer);
    }

    private async Task<string> NoteAsync(Entry entry, HttpResponseMessage answer)
    {
        Assert.True(
            answer.StatusCode == HttpStatusCode.Accepted,
            $"{entry.Key}: {answer}{await answer.Content.ReadAsStringAsync()}");
        string id = answer.Headers.Location!.OriginalString.Split('/')[^1];
        lock (gate)
        {
            Assert.True(entry.Id is null || entry.Id == id, $"{entry.Key} is {entry.Id} and {id}.");
            entry.Id = id;
        }

        return id;
    }

    private async Task IsTrueAsync(Entry entry)
    {
        RunView view = await EndAsync(entry.Id!);
        RunWhy why = await WhyAsync(view.Id);
        string story = string.Join('\n', why.Events);
        Assert.True(view.State == "succeeded", $"{entry.Key} ended as {view}\n{story}");
        Assert.True(why.Events.Count(e => e.Type == "ended") == 1, $"{entry.Key} has not one end:\n{story}");
        byte[] result = await server.Http.GetByteArrayAsync(new Uri($"/v1/runs/{view.Id}/result", UriKind.Relative));
        Assert.True(
            SHA256.HashData(result).AsSpan().SequenceEqual(entry.Hash),
            $"The result of {entry.Key} has {result.Length} other bytes than its input.");
    }

    private async Task<T> ReadAsync<T>(string address)
    {
        using HttpResponseMessage answer = await server.Http.GetAsync(new Uri(address, UriKind.Relative));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{address}: {text}");
        return (T)JsonSerializer.Deserialize(text, typeof(T), RunJson.Default)!;
    }

    private sealed class Entry(string key, byte[] hash)
    {
        public string Key { get; } = key;

        public byte[] Hash { get; } = hash;

        public string? Id { get; set; }

        public Func<Task<string>>? Again { get; set; }
    }
}
