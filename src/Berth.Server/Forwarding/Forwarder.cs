using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Rollouts;
using Berth.Core.Runs;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Berth.Server.Instances;
using Berth.Server.Rollouts;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Forwarding;

/// <summary>Where a request goes.</summary>
/// <param name="Target">Path and query for the program, as the caller wrote them.</param>
/// <param name="Prefix">Of the caller's path, which the program does not see.</param>
/// <param name="Timeout">Of the whole call, waiting included.</param>
/// <param name="Caller">Whose turn it is when calls wait.</param>
/// <param name="Authorizes">Whether the caller's Authorization is the program's own, and passes.</param>
internal sealed record ForwardRoute(
    InstancePool Pool, RevisionKey Revision, string Target, string Prefix, TimeSpan Timeout, string Caller,
    bool Authorizes = false);

/// <summary>
/// Passes requests on to instances and their answers back, both as they come: bodies, events, upgrades such as
/// WebSocket. One deadline for waiting and exchange; who goes away ends the exchange.
/// </summary>
internal sealed class Forwarder(ServerOptions options, RevisionMeters meters, TimeProvider time)
{
    public const string InstanceHeader = "Berth-Instance";

    /// <summary>Only on calls that had to wait.</summary>
    public const string QueueHeader = "Berth-Queue-Ms";

    private readonly DeadlinePool deadlines = new(time);

    public async Task ForwardAsync(HttpContext context, ForwardRoute route)
    {
        Bound(context);
        using DeadlinePool.Lease lease = deadlines.Take(route.Timeout);
        CancellationTokenSource deadline = lease.Source;
        await using CancellationTokenRegistration gone = context.RequestAborted.UnsafeRegister(
            static state => ((CancellationTokenSource)state!).Cancel(), deadline);
        Instance? instance = null;
        CallVerdict verdict = CallVerdict.Nothing;
        long entered = 0;
        try
        {
            IHeaderDictionary headers = context.Response.Headers;
            long asked = 0;
            CallVerdict? given = null;
            for (int tries = 1; given is null; tries++)
            {
                Leave(route, ref instance);
                ValueTask<Instance> entering = route.Pool.EnterAsync(route.Caller, deadline.Token);
                asked = asked != 0 || entering.IsCompleted ? asked : time.GetTimestamp();
                instance = await entering;
                entered = time.GetTimestamp();
                if (asked != 0)
                {
                    headers[QueueHeader] = time.GetElapsedTime(asked, entered).TotalMilliseconds
                        .ToString("0.###", CultureInfo.InvariantCulture);
                }

                headers[RunAnswer.Revision] = route.Revision.Number.ToString(CultureInfo.InvariantCulture);
                headers[InstanceHeader] = instance.Id.Text;
                given = await ExchangeAsync(context, route, instance, tries == InstancePool.MaxTries, deadline.Token);
            }

            verdict = given.Value;
        }
        catch (BerthException error)
        {
            verdict = CallVerdicts.Of(error.Code);
            throw;
        }
        catch (OperationCanceledException error)
            when (deadline.IsCancellationRequested && !context.RequestAborted.IsCancellationRequested)
        {
            verdict = instance is null ? CallVerdict.Nothing : CallVerdict.Failed;
            if (context.Response.HasStarted)
            {
                Exchange.CutOff(context);
                return;
            }

            throw Late(route, instance, error);
        }
        finally
        {
            Leave(route, ref instance);
            meters.Count(route.Revision, verdict, entered == 0 ? TimeSpan.Zero : time.GetElapsedTime(entered));
        }
    }

    /// <summary>A body may have as many bytes as the operator lets it, and no long pause. A connection that becomes
    /// another protocol's has the call's time alone, as in HTTP/1.1.</summary>
    private void Bound(HttpContext context)
    {
        if (ExtendedConnect.Of(context) is null)
        {
            CallAnswer.LimitBody(context, options.BodyLimit, "body-limit");
            PatientBody.Install(context, options.BodyIdleTimeout, time);
            return;
        }

        PatientBody.LiftRate(context);
        context.Features.Get<IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize = null;
    }

    /// <summary>A connection that has become another protocol's says nothing by its length.</summary>
    private static CallVerdict VerdictOf(Exchange exchange, int status) =>
        exchange.IsTorn ? CallVerdict.Failed
        : exchange.HasSwitched ? CallVerdict.Nothing
        : status >= StatusCodes.Status500InternalServerError ? CallVerdict.Failed
        : CallVerdict.Succeeded;

    private static void Leave(ForwardRoute route, ref Instance? instance)
    {
        if (instance is not null)
        {
            route.Pool.Leave(instance);
            instance = null;
        }
    }

    /// <returns>What the program's answer says of it; null where it ended before it knew of the call, which may go to
    /// another instance.</returns>
    private static async Task<CallVerdict?> ExchangeAsync(
        HttpContext context, ForwardRoute route, Instance instance, bool isLast, CancellationToken cancellationToken)
    {
        bool upgrades = context.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true };
        bool hasBody = context.Features.Get<IHttpRequestBodyDetectionFeature>() is not { CanHaveBody: false };
        if (ExtendedConnect.Of(context) is not null)
        {
            // What follows the head is the other protocol's.
            (upgrades, hasBody) = (true, false);
            ExtendedConnect.Prepare(context.Request);
        }

        for (bool again = false; ; again = true)
        {
            ServiceConnection connection;
            try
            {
                connection = await instance.Connections.TakeAsync(again, cancellationToken);
            }
            catch (IOException error)
            {
                BerthException why = await instance.ExplainAsync(route.Pool.Name, error);
                // Over a connection that it had already it may have taken the request.
                return !again && instance.HasEnded && !isLast ? null : throw why;
            }

            Exchange exchange = new(context, route, instance, connection);
            if (await exchange.RunAsync(hasBody, upgrades, cancellationToken))
            {
                return VerdictOf(exchange, context.Response.StatusCode);
            }
        }
    }

    private static BerthException Late(ForwardRoute route, Instance? instance, Exception error)
    {
        string limit = RunSentences.Span(route.Timeout);
        return instance is null
            ? new BerthException(
                ErrorCode.RunTimedOut,
                $"A call of {route.Pool.Name} waited all of its {limit} for an instance: raise the timeout, "
                + "concurrency or max-instances.",
                error)
            {
                RetryAfter = TimeSpan.FromSeconds(1),
            }
            : new BerthException(
                ErrorCode.RunTimedOut,
                $"The instance {instance.Id} of {route.Pool.Name} gave no whole answer within the call's {limit}: "
                + "raise the timeout, or see 'berth logs' for what it does.",
                error);
    }
}
