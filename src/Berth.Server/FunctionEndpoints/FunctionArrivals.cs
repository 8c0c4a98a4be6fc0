using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Server.Access;
using Berth.Server.Functions;
using Berth.Server.Loops;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>
/// Of servers that share a store, each hears of a function that another one was told of a moment later. Who asks for it
/// within that moment waits while the store is looked into, once; unknown names cost the store no more than
/// <see cref="MostLooks"/> looks in each second, and are answered without one beyond that.
/// </summary>
internal sealed class FunctionArrivals(FunctionManager functions, LoopExit exit, TimeProvider time)
{
    /// <summary>Looks within a second, of all callers together: they may ask for any name without a token.</summary>
    public const int MostLooks = 20;

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>For a store that is slow or away: then the function is taken for unknown.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);

    private readonly Lock gate = new();
    private long begun;
    private int looks;

    /// <summary>Whether a request asks for a function that is not known here, and the store may be looked into for it.
    /// </summary>
    public bool MayHave(HttpContext context) => functions.IsShared && NameOf(context) is { } name
        && functions.Find(name) is null && MayLook();

    /// <summary>Looks, and goes on with the request.</summary>
    public Task LookAsync(HttpContext context, RequestDelegate next) => exit.RunAsync(context, async there =>
    {
        using CancellationTokenSource limit = new(Patience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, there.RequestAborted);
        try
        {
            await functions.LookForAsync(NameOf(there)!, either.Token);
        }
        catch (Exception away) when (
            away is BerthException
            || (away is OperationCanceledException && !there.RequestAborted.IsCancellationRequested))
        {
            // It is answered by what is known.
        }

        await next(there);
    });

    /// <summary>Of the function that a request is about; null where it is about none, or about to make it.</summary>
    private static string? NameOf(HttpContext context)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<AccessRow>() is not { IsOfFunction: true } row
            || (HttpMethods.IsPut(context.Request.Method) && row.Permission == Permission.FunctionManage)
            || context.Request.RouteValues["name"] is not string text)
        {
            return null;
        }

        int at = text.IndexOf('@', StringComparison.Ordinal);
        string name = at < 0 ? text : text[..at];
        return FunctionName.IsValid(name) ? name : null;
    }

    private bool MayLook()
    {
        lock (gate)
        {
            long now = time.GetTimestamp();
            if (time.GetElapsedTime(begun, now) >= Period)
            {
                begun = now;
                looks = 0;
            }

            if (looks == MostLooks)
            {
                return false;
            }

            looks++;
            return true;
        }
    }
}
