using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RunEndpoints;

/// <summary>Sends a run's standard error as text, line by line, on request until the run has ended.</summary>
internal sealed class LogEndpoint(IRunManager runs, ServerLifetime lifetime, TimeProvider time)
{
    public async Task HandleAsync(HttpContext context)
    {
        RunId id = RunEndpoints.IdOf(context);
        QueryText query = new(context.Request, "follow", "tail", "since", "timestamps");
        LogQuery wanted = LogText.QueryOf(query, time);
        bool timestamps = query.Switch("timestamps");

        // A run that isn't there must be told before the answer begins.
        await runs.GetAsync(id, context.RequestAborted);
        bool within = false;
        await new LogAnswer(context, lifetime).SendAsync(
            "text/plain; charset=utf-8", wanted.Follow, token => runs.LogsAsync(id, wanted, token),
            (writer, line) =>
            {
                LogText.Write(writer, line, within, timestamps);
                within = line.Partial;
            });
    }
}
