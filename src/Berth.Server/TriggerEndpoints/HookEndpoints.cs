using System.Security.Cryptography;
using System.Text;
using Berth.Api.Triggers;
using Berth.Core.Errors;
using Berth.Core.Triggers;
using Berth.Server.Hosting;
using Berth.Server.Secrets;
using Berth.Server.Triggers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.TriggerEndpoints;

/// <summary>
/// Where senders come in: CloudEvents of callers with a token, and webhooks of strangers. A stranger who can't sign is
/// told the same whatever there is, and has one of a few places for a few seconds.
/// </summary>
internal sealed class HookEndpoints(
    TriggerManager triggers, TriggerFiring firing, SecretVault secrets, TimeProvider time)
{
    private const int MaxDelivery = 100;

    /// <summary>Until a body of so little must be there.</summary>
    private static readonly TimeSpan BodyPatience = TimeSpan.FromSeconds(15);

    /// <summary>Where there is no secret, a signature is compared all the same.</summary>
    private static readonly byte[] NoSecret = RandomNumberGenerator.GetBytes(32);

    private static readonly WebhookSpec NoHook = new(
        WebhookStyle.GitHub, WebhookSpec.DefaultHeader(WebhookStyle.GitHub), "", WebhookSpec.DefaultWindow, false);

    private readonly HookPlaces places = new(all: 128, each: 16);

    /// <summary>Of a caller with a token, for a trigger of the kind <c>events</c>.</summary>
    public async Task ReceiveAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        Trigger trigger = triggers.Get((string)context.Request.RouteValues["name"]!);
        if (trigger is not { Events: { } filter, Webhook: null })
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"Trigger '{trigger.Name}' is of the kind {trigger.Kind}, which takes no events: make one with 'berth "
                + "trigger create --events'.");
        }

        if (trigger.IsPaused)
        {
            throw new BerthException(
                ErrorCode.Conflict, $"Trigger '{trigger.Name}' is paused: 'berth trigger resume' lets it go on.");
        }

        await AnswerAsync(context, trigger, filter, await ReadAsync(context));
    }

    /// <summary>Of anybody.</summary>
    public async Task HookAsync(HttpContext context)
    {
        using IDisposable place = places.TryTake(context) ?? throw new BerthException(
            ErrorCode.QueueFull, "Too many requests of this sender are under way: send it again in a moment.")
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        };
        ReadOnlyMemory<byte> body = await ReadAsync(context);
        Trigger? trigger = triggers.Find((string)context.Request.RouteValues["name"]!);
        bool isKnown = Verify(trigger, context.Request, body.Span);
        if (!isKnown || trigger is not { Webhook: { } hook, IsPaused: false })
        {
            throw new BerthException(
                ErrorCode.Unauthorized,
                "There is no such webhook for this request: its name, its signature or the moment of it is not right.");
        }

        if (hook.IsEvents)
        {
            await AnswerAsync(context, trigger, trigger.Events ?? EventFilter.All, body);
            return;
        }

        DateTimeOffset now = time.GetUtcNow();
        string key = KeyOf(hook, context.Request, body.Span, now);
        CloudEvent e = TriggerFiring.Own(
            trigger, "webhook", key, now, null, Media(context.Request.ContentType), body);
        Firing made = await FireAsync(context, trigger, key, e);
        await JsonBody.WriteAsync(
            context, TriggerEndpoints.View(made), TriggerJson.Default.FiringView, StatusCodes.Status202Accepted);
    }

    private async Task<ReadOnlyMemory<byte>> ReadAsync(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } most)
        {
            most.MaxRequestBodySize = EventBody.MaxBytes;
        }

        using CancellationTokenSource limit = new(BodyPatience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, context.RequestAborted);
        try
        {
            return await EventBody.ReadAsync(context, either.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            throw new BerthException(
                ErrorCode.RequestTimeout,
                $"The body was not there within {BodyPatience.TotalSeconds} s: send it at once.");
        }
    }

    /// <summary>Takes as long for what there is not as for what there is.</summary>
    private bool Verify(Trigger? trigger, HttpRequest request, ReadOnlySpan<byte> body)
    {
        WebhookSpec hook = trigger?.Webhook ?? NoHook;
        byte[] secret = NoSecret;
        bool isThere = trigger?.Webhook is not null && secrets.Has(hook.Secret);
        if (isThere)
        {
            secret = secrets.Open(hook.Secret);
        }

        bool matches = WebhookSignature.Verify(hook, secret, request.Headers[hook.Header], body, time.GetUtcNow());
        return matches && isThere;
    }

    private async Task AnswerAsync(
        HttpContext context, Trigger trigger, EventFilter filter, ReadOnlyMemory<byte> body)
    {
        List<EventView> views = [];
        foreach (CloudEvent e in EventBody.Parse(context.Request, body))
        {
            if (!filter.Takes(e))
            {
                views.Add(new EventView(e.Id, Taken: false));
                continue;
            }

            // Who sends the same twice means it once: source and id say so.
            string key = "event " + Hash(e.Source, e.Id);
            Firing made = await FireAsync(context, trigger, key, e);
            views.Add(new EventView(e.Id, Taken: true, made.Run!.Value.Text));
        }

        await JsonBody.WriteAsync(
            context, new EventList(views), TriggerJson.Default.EventList, StatusCodes.Status202Accepted);
    }

    private async Task<Firing> FireAsync(HttpContext context, Trigger trigger, string key, CloudEvent e)
    {
        Firing made = await firing.FireAsync(
            trigger, key, e, EventBody.HeadOf(context.Request, trigger.Function), null, null, context.RequestAborted);
        return made.Run is not null ? made : throw new BerthException(
            ErrorCode.Conflict, $"Function '{trigger.Function}' can't be called: {made.Detail}");
    }

    /// <summary>The same for a delivery that is repeated, where it says so.</summary>
    private static string KeyOf(WebhookSpec hook, HttpRequest request, ReadOnlySpan<byte> body, DateTimeOffset now) =>
        hook.Style switch
        {
            WebhookStyle.GitHub when request.Headers["X-GitHub-Delivery"].ToString() is
            { Length: > 0 and <= MaxDelivery } delivery => "delivery " + Hash(delivery, Hash(body)),
            WebhookStyle.Timestamped => "signature " + Hash(request.Headers[hook.Header].ToString(), Hash(body)),
            _ => "request " + Core.Runs.RunId.New(now).Text,
        };

    private static string Hash(string one, string other) => Hash(Encoding.UTF8.GetBytes($"{one}\n{other}"));

    private static string Hash(ReadOnlySpan<byte> content) => Convert.ToHexStringLower(SHA256.HashData(content));

    /// <summary>Null where it is none that could be passed on.</summary>
    private static string? Media(string? type) =>
        type is { Length: > 0 and < 256 } && type.All(c => c is >= ' ' and < '\u007f') ? type : null;
}
