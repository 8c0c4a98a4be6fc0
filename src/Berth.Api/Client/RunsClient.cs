using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Berth.Api.Errors;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Api.Client;

/// <summary>Which runs to list; null is any.</summary>
/// <param name="Kind"><c>call</c> or <c>task</c>.</param>
/// <param name="State">As in <see cref="RunView"/>.</param>
/// <param name="Label"><c>key=value</c>.</param>
public sealed record RunFilter(string? Kind = null, string? State = null, string? Image = null, string? Label = null);

/// <summary>Which part of a run's log.</summary>
/// <param name="Follow">Goes on until the run has ended.</param>
/// <param name="Tail">Only the last lines; null is all.</param>
public sealed record LogOptions(
    bool Follow = false, int? Tail = null, DateTimeOffset? Since = null, bool Timestamps = false);

/// <summary>Calls and tasks: both are runs.</summary>
public sealed class RunsClient
{
    private const int PageSize = 100;

    /// <summary>One long poll: below the limit that proxies commonly set on silence.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(30);

    private readonly ApiExchange exchange;

    internal RunsClient(ApiExchange exchange) => this.exchange = exchange;

    /// <summary>
    /// Runs <paramref name="image"/> and answers when its output begins. <paramref name="input"/> is read while the
    /// output comes, so that neither has to fit into memory; null is empty input.
    /// </summary>
    public Task<Call> CallAsync(
        string image, RunOptions options, Stream? input, CancellationToken cancellationToken) =>
        CallAtAsync("v1/call/" + image, options, input, cancellationToken);

    /// <summary>
    /// Hands in a task. It is on disk when this returns. With an idempotency key and an input that can be read again, a
    /// broken connection is followed by another try.
    /// </summary>
    public Task<RunView> SubmitAsync(
        string image, RunOptions options, Stream? input, CancellationToken cancellationToken) =>
        SubmitAtAsync("v1/tasks/" + image, options, input, cancellationToken);

    internal async Task<Call> CallAtAsync(
        string path, RunOptions options, Stream? input, CancellationToken cancellationToken)
    {
        CallConnection connection = await SendAsync(path, options, input, cancellationToken);
        try
        {
            return await Call.ReceiveAsync(connection, this, cancellationToken);
        }
        catch (IOException e)
        {
            await connection.DisposeAsync();
            throw connection.InputFault is null ? exchange.Unreachable(e)
                : new BerthException(ErrorCode.InvalidRequest, $"The input could not be read: {e.Message}", e);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    internal async Task<RunView> SubmitAtAsync(
        string path, RunOptions options, Stream? input, CancellationToken cancellationToken)
    {
        bool repeatable = options.IdempotencyKey is not null && input is null or { CanSeek: true };
        long begin = input is { CanSeek: true } ? input.Position : 0;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await SubmitOnceAsync(path, options, input, cancellationToken);
            }
            catch (BerthException e) when (
                repeatable && attempt < 3 && e is { Code: ErrorCode.Upstream, InnerException: IOException })
            {
                if (input is not null)
                {
                    input.Position = begin;
                }
            }
        }
    }

    public Task<RunView> GetAsync(string id, CancellationToken cancellationToken) =>
        exchange.GetAsync("v1/runs/" + Uri.EscapeDataString(id), RunJson.Default.RunView, cancellationToken);

    /// <summary>The run once it has ended, or as it is after <paramref name="limit"/> (null: for ever).</summary>
    public async Task<RunView> WaitAsync(string id, TimeSpan? limit, CancellationToken cancellationToken)
    {
        TimeSpan left = limit ?? TimeSpan.MaxValue;
        while (true)
        {
            TimeSpan wait = left < Poll ? left : Poll;
            RunView run = await exchange.GetAsync(
                $"v1/runs/{Uri.EscapeDataString(id)}?wait={Duration.Format(wait)}", RunJson.Default.RunView,
                cancellationToken);
            left -= wait;
            if (IsTerminal(run) || left <= TimeSpan.Zero)
            {
                return run;
            }
        }
    }

    /// <summary>At most so many runs, newest first, fetched page by page as they are asked for.</summary>
    public IAsyncEnumerable<RunView> ListAsync(
        RunFilter filter, int most, CancellationToken cancellationToken) => PagesAsync(
        "v1/runs",
        [("kind", filter.Kind), ("state", filter.State), ("image", filter.Image), ("label", filter.Label)],
        most, cancellationToken);

    private async IAsyncEnumerable<RunView> PagesAsync(
        string path, (string Name, string? Value)[] filter, int most,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? cursor = null;
        for (int left = most; left > 0;)
        {
            string query = Query.Of(
            [
                .. filter, ("limit", Math.Min(left, PageSize).ToString(CultureInfo.InvariantCulture)),
                ("cursor", cursor),
            ]);
            RunPage page = await exchange.GetAsync(path + query, RunJson.Default.RunPage, cancellationToken);
            foreach (RunView run in page.Runs)
            {
                yield return run;
            }

            left -= page.Runs.Count;
            cursor = page.Next;
            if (cursor is null)
            {
                yield break;
            }
        }
    }

    /// <summary>Opens the result of an ended task. The caller disposes it.</summary>
    public Task<Stream> OpenResultAsync(string id, CancellationToken cancellationToken) =>
        OpenStreamAsync($"v1/runs/{Uri.EscapeDataString(id)}/result", cancellationToken);

    /// <summary>Opens the input of a task. The caller disposes it.</summary>
    public Task<Stream> OpenInputAsync(string id, CancellationToken cancellationToken) =>
        OpenStreamAsync($"v1/runs/{Uri.EscapeDataString(id)}/input", cancellationToken);

    /// <summary>Opens what the program wrote to standard error. The caller disposes it.</summary>
    public Task<Stream> OpenLogsAsync(string id, LogOptions options, CancellationToken cancellationToken) =>
        OpenStreamAsync(
        $"v1/runs/{Uri.EscapeDataString(id)}/logs" + Query.Of(
            ("follow", options.Follow ? "true" : null),
            ("tail", options.Tail?.ToString(CultureInfo.InvariantCulture)),
            ("since", options.Since?.ToString("O", CultureInfo.InvariantCulture)),
            ("timestamps", options.Timestamps ? "true" : null)),
        cancellationToken);

    /// <summary>Asks for its end; the answer may still say that it runs.</summary>
    public async Task<RunView> CancelAsync(string id, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(
            HttpMethod.Post, exchange.UriOf($"v1/runs/{Uri.EscapeDataString(id)}/cancel"));
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        return body.Length == 0
            ? await GetAsync(id, cancellationToken)
            : JsonSerializer.Deserialize(body, RunJson.Default.RunView)!;
    }

    /// <summary>At most so many dead letters, newest first.</summary>
    /// <param name="function">Of this one alone; null for all.</param>
    public IAsyncEnumerable<RunView> DeadLettersAsync(
        string? function, int most, CancellationToken cancellationToken) =>
        PagesAsync("v1/dead-letters", [("function", function)], most, cancellationToken);

    /// <summary>Sends a dead letter again; returns the new task.</summary>
    public async Task<RunView> RedriveAsync(string id, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(
            HttpMethod.Post, exchange.UriOf($"v1/dead-letters/{Uri.EscapeDataString(id)}/redrive"));
        using HttpResponseMessage response = await exchange.OpenAsync(request, cancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        return JsonSerializer.Deserialize(body, RunJson.Default.RunView)!;
    }

    /// <summary>Strikes a dead letter off.</summary>
    public Task PurgeAsync(string id, CancellationToken cancellationToken) =>
        exchange.DeleteAsync("v1/dead-letters/" + Uri.EscapeDataString(id), cancellationToken);

    /// <summary>What happened to a run, in order.</summary>
    public Task<RunWhy> WhyAsync(string id, CancellationToken cancellationToken) =>
        exchange.GetAsync($"v1/runs/{Uri.EscapeDataString(id)}/why", RunJson.Default.RunWhy, cancellationToken);

    /// <summary>Events of one run until it has ended, or of all runs for as long as the server is up.</summary>
    public async IAsyncEnumerable<RunEventView> EventsAsync(
        string? id, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string path = id is null ? "v1/events" : $"v1/runs/{Uri.EscapeDataString(id)}/events";
        await using Stream stream = await OpenStreamAsync(path, cancellationToken);
        using StreamReader reader = new(stream, Encoding.UTF8);
        StringBuilder data = new();
        while (await reader.ReadLineAsync(cancellationToken) is { } line)
        {
            // Server-sent events (HTML standard, 9.2): "data:" lines, then an empty line; everything else may be
            // passed over here.
            if (line.StartsWith("data:", StringComparison.Ordinal))
            {
                data.Append(line.AsSpan(5).TrimStart(' '));
            }
            else if (line.Length == 0 && data.Length > 0)
            {
                yield return JsonSerializer.Deserialize(data.ToString(), RunJson.Default.RunEventView)!;
                data.Clear();
            }
        }
    }

    public static bool IsTerminal(RunView run) => run.State is "succeeded" or "failed" or "canceled";

    /// <summary>The error that a run's end is told as; null for success or while it has not ended.</summary>
    public static ErrorEntry? FailureOf(RunView run) =>
        !IsTerminal(run) || run.State == "succeeded" ? null : ErrorCatalog.Find(Call.CodeOf(run.Reason ?? ""));

    private async Task<RunView> SubmitOnceAsync(
        string path, RunOptions options, Stream? input, CancellationToken cancellationToken)
    {
        await using CallConnection connection = await SendAsync(path, options, input, cancellationToken);
        try
        {
            ResponseHead head = await connection.ReadHeadAsync(cancellationToken);
            byte[] document = await Call.ReadAllAsync(new CallBody(connection, head), cancellationToken);
            return head.Status is >= 200 and < 300
                ? JsonSerializer.Deserialize(document, RunJson.Default.RunView)!
                : throw ApiExchange.ErrorOf(head.Status, document, null);
        }
        catch (IOException e)
        {
            throw connection.InputFault is { } fault
                ? new BerthException(ErrorCode.InvalidRequest, $"The input could not be read: {fault.Message}", fault)
                : exchange.Unreachable(e);
        }
    }

    private async Task<CallConnection> SendAsync(
        string path, RunOptions options, Stream? input, CancellationToken cancellationToken)
    {
        Uri target = exchange.UriOf(path);
        StringBuilder head = new();
        head.Append($"POST {target.PathAndQuery} HTTP/1.1\r\nHost: {target.Authority}\r\n");
        head.Append($"User-Agent: {ApiExchange.UserAgent}\r\nConnection: close\r\nTE: trailers\r\n");
        if (exchange.Token is not null)
        {
            head.Append($"Authorization: Bearer {exchange.Token}\r\n");
        }

        foreach ((string name, string value) in options.Headers())
        {
            head.Append($"{name}: {value}\r\n");
        }

        try
        {
            CallConnection connection = await CallConnection.OpenAsync(exchange.Address, cancellationToken);
            await connection.SendAsync(head.ToString(), input, cancellationToken);
            return connection;
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            throw exchange.Unreachable(e);
        }
    }

    private async Task<Stream> OpenStreamAsync(string path, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await exchange.SendSafelyAsync(
            () => new HttpRequestMessage(HttpMethod.Get, exchange.UriOf(path)), cancellationToken);
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }
}

/// <summary>Builds the query part of a URL from the parameters that have a value.</summary>
internal static class Query
{
    public static string Of(params ReadOnlySpan<(string Name, string? Value)> parameters)
    {
        StringBuilder query = new();
        foreach ((string name, string? value) in parameters)
        {
            if (value is not null)
            {
                query.Append(
                    query.Length == 0 ? '?' : '&').Append(name).Append('=').Append(Uri.EscapeDataString(value));
            }
        }

        return query.ToString();
    }
}
