using System.Runtime.CompilerServices;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Loops;

/// <summary>
/// Takes a request off the event loop that its bytes came in by, until it is answered: whatever asks the store, reads
/// files or computes for long would hold up every other connection of the loop.
/// </summary>
internal sealed class LoopExit(ILogger<LoopExit> logger)
{
    /// <summary>Runs the rest of the request in the thread pool where it is on a loop now or could come back to
    /// one.</summary>
    /// <param name="beginsHere">Whether nothing blocks until it first waits: then it stays for so long, and nobody has
    /// to be woken for it.</param>
    public async Task RunAsync(HttpContext context, RequestDelegate next, bool beginsHere = false)
    {
        // Of HTTP/2 only the frames are read in the loop.
        LoopScheduler? scheduler = HttpProtocol.IsHttp2(context.Request.Protocol)
            ? null
            : context.Features.Get<LoopScheduler>();
        if (scheduler is not null)
        {
            scheduler.UsesPool = true;
        }

        try
        {
            if (!beginsHere && EventLoop.Current is not null)
            {
                await new PoolTurn();
            }

            using IDisposable? scope = TraceContext.Scope(logger, context);
            await next(context);
        }
        finally
        {
            if (scheduler is not null)
            {
                scheduler.UsesPool = false;
            }
        }
    }
}
