using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RunEndpoints;

/// <summary>Tells of runs: lists, one run, its result and input, what happened to it; and cancels them.</summary>
internal sealed class RunEndpoints(IRunManager runs, ServerLifetime lifetime)
{
    private const int DefaultLimit = 50;

    /// <summary>Longest long poll: proxies in between cut idle connections sooner or later.</summary>
    private static readonly TimeSpan MaxWait = TimeSpan.FromMinutes(10);

    public async Task ListAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "kind", "state", "image", "label", "limit", "cursor");
        RunQuery filter = new(
            Choice<RunKind>(query, "kind"), Choice<RunState>(query, "state"), query.Find("image"), Labels(query),
            query.Number("limit", 1, RunQuery.MaxLimit, DefaultLimit), Cursor(query));
        RunList list = await runs.ListAsync(filter, context.RequestAborted);
        RunPage page = new([.. list.Runs.Select(runs.View)], list.Next?.Text);
        await JsonBody.WriteAsync(context, page, RunJson.Default.RunPage);
    }

    public async Task GetAsync(HttpContext context)
    {
        RunId id = IdOf(context);
        Run run = new QueryText(context.Request, "wait").Span("wait", MaxWait) is { } wait && wait > TimeSpan.Zero
            ? await runs.WaitAsync(id, wait, lifetime, context.RequestAborted)
            : await runs.GetAsync(id, context.RequestAborted);
        await JsonBody.WriteAsync(context, runs.View(run), RunJson.Default.RunView);
    }

    public async Task CancelAsync(HttpContext context)
    {
        Run run = await runs.CancelAsync(IdOf(context), context.RequestAborted);
        await JsonBody.WriteAsync(context, runs.View(run), RunJson.Default.RunView);
    }

    public async Task WhyAsync(HttpContext context)
    {
        RunWhy why = await runs.WhyAsync(IdOf(context), context.RequestAborted);
        await JsonBody.WriteAsync(context, why, RunJson.Default.RunWhy);
    }

    public async Task ResultAsync(HttpContext context) =>
        await ContentAnswer.WriteAsync(
            context, await runs.ResultAsync(IdOf(context), context.RequestAborted), ranges: true);

    public async Task InputAsync(HttpContext context) =>
        await ContentAnswer.WriteAsync(
            context, await runs.InputAsync(IdOf(context), context.RequestAborted), ranges: true);

    /// <summary>The run that the address names; throws <c>RunNotFound</c>.</summary>
    public static RunId IdOf(HttpContext context) => RunId.Parse((string)context.Request.RouteValues["id"]!);

    private static T? Choice<T>(QueryText query, string name)
        where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];
        string? text = query.Find(name);
        return text is null ? null
            : names.Contains(text) ? Enum.Parse<T>(text, ignoreCase: true)
            : throw QueryText.Refuse(name, text, "expected one of " + string.Join(", ", names));
    }

    private static Dictionary<string, string> Labels(QueryText query)
    {
        Dictionary<string, string> labels = [];
        foreach (string? text in query.FindAll("label"))
        {
            int equals = (text ?? "").IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !labels.TryAdd(text![..equals], text[(equals + 1)..]))
            {
                throw QueryText.Refuse("label", text ?? "", "write NAME=VALUE, each name once");
            }
        }

        return labels;
    }

    /// <summary>Where a page goes on; null for the first.</summary>
    public static RunId? Cursor(QueryText query)
    {
        string? text = query.Find("cursor");
        return text is null ? null
            : RunId.TryParse(text, out RunId id) ? id
            : throw QueryText.Refuse("cursor", text, "pass on the 'next' of the page before");
    }
}
