using Berth.Api.Runs;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Hosting;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RunEndpoints;

/// <summary>Tells of dead letters, sends them again and strikes them off.</summary>
internal sealed class DeadLetterEndpoints(RunManager runs)
{
    private const int DefaultLimit = 50;

    public async Task ListAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "function", "limit", "cursor");
        RunList list = await runs.DeadLetters.ListAsync(
            query.Find("function"), query.Number("limit", 1, RunQuery.MaxLimit, DefaultLimit),
            RunEndpoints.Cursor(query), context.RequestAborted);
        RunPage page = new([.. list.Runs.Select(runs.View)], list.Next?.Text);
        await JsonBody.WriteAsync(context, page, RunJson.Default.RunPage);
    }

    public async Task RedriveAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Run run = await runs.RedriveAsync(
            RunEndpoints.IdOf(context), Caller.Of(context).Name, context.RequestAborted);
        context.Response.Headers[RunAnswer.RunId] = run.Id.Text;
        context.Response.Headers.Location = "/v1/runs/" + run.Id.Text;
        await JsonBody.WriteAsync(context, runs.View(run), RunJson.Default.RunView, StatusCodes.Status202Accepted);
    }

    public async Task PurgeAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        await runs.DeadLetters.PurgeAsync(
            RunEndpoints.IdOf(context), Caller.Of(context).Name, context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
