using Berth.Api.Triggers;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Calls;
using Berth.Server.Secrets;
using Berth.Server.Triggers;

namespace Berth.Server.TriggerEndpoints;

/// <summary>Turns a request into what a trigger is to be, and back: every member checked, and refused by naming it, its
/// value and the remedy.</summary>
internal sealed class TriggerOrder(TriggerCall calls, SecretVault secrets, TimeProvider time)
{
    private const int MaxBody = 16 * 1024;
    private const int MaxHeader = 64;
    private const int MaxPrefix = 1024;

    private static readonly TimeSpan LeastWindow = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestWindow = TimeSpan.FromHours(1);

    /// <param name="before">What has the name now; its id and its pause stay where the kind does.</param>
    /// <param name="ahead">The function need not be there yet.</param>
    public Trigger Read(string name, TriggerRequest request, Trigger? before, string caller, bool ahead = false)
    {
        string kind = KindOf(request);
        RefuseForeign(request, kind);
        if (string.IsNullOrEmpty(request.Function))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "function is missing: a trigger calls one.");
        }

        if (!ahead)
        {
            calls.Check(request.Function);
        }

        DateTimeOffset now = time.GetUtcNow();
        Trigger? same = before?.Kind == kind ? before : null;
        Trigger trigger = new(
            same?.Id ?? RunId.New(now), name, request.Function, request.Paused ?? same?.IsPaused ?? false,
            same?.CreatedAt ?? now, caller, Project: request.Project is null
                ? null
                : FunctionName.Check(request.Project, "project"));
        return kind switch
        {
            "clock" => trigger with
            {
                Clock = Clock(request),
                Body = Text("body", request.Body, MaxBody),
                ContentType = request.ContentType is null
                    ? null
                    : RunRequest.ContentType(new Asked("contentType", request.ContentType)),
            },
            "webhook" => trigger with
            {
                Webhook = Webhook(request),
                Events = request.Events == true ? Filter(request) : null,
            },
            "upload" => trigger with { Upload = Upload(request) },
            _ => trigger with { Events = Filter(request) },
        };
    }

    /// <summary>A request that would lead to the same.</summary>
    public static TriggerRequest Write(Trigger trigger) => new(
        trigger.Function,
        Cron: trigger.Clock?.Times.Line.Text,
        Zone: trigger.Clock?.Times.Zone.Id,
        Concurrency: trigger.Clock is { } clock ? NameOf(clock.Concurrency) : null,
        Missed: trigger.Clock is { } late ? late.Missed == MissedTimes.Once ? "once" : "skip" : null,
        CatchUp: trigger.Clock is { Missed: MissedTimes.Once } made ? Duration.Format(made.CatchUp) : null,
        Body: trigger.Body,
        ContentType: trigger.ContentType,
        Webhook: trigger.Webhook is { } hook ? NameOf(hook.Style) : null,
        Secret: trigger.Webhook?.Secret,
        Header: trigger.Webhook?.Header,
        Window: trigger.Webhook is { Style: WebhookStyle.Timestamped } stamped ? Duration.Format(stamped.Window) : null,
        Events: trigger.Events is null ? null : true,
        Types: trigger.Events is { Types.Count: > 0 } types ? types.Types : null,
        Sources: trigger.Events is { Sources.Count: > 0 } sources ? sources.Sources : null,
        Volume: trigger.Upload?.Volume,
        Prefix: trigger.Upload is { Prefix.Length: > 0 } upload ? upload.Prefix : null,
        Paused: trigger.IsPaused ? true : null,
        Project: trigger.Project);

    private static string KindOf(TriggerRequest request)
    {
        string[] given =
        [
            .. request.Cron is null ? [] : (string[])["clock"],
            .. request.Webhook is null ? [] : (string[])["webhook"],
            .. request.Volume is null ? [] : (string[])["upload"],
            .. request.Events == true && request.Webhook is null ? (string[])["events"] : [],
        ];
        return given is [var one] ? one : throw new BerthException(
            ErrorCode.InvalidRequest,
            given.Length == 0
                ? "Nothing says when it fires: give one of cron, webhook, events and volume."
                : $"It can't be {string.Join(" and ", given)} at once: make a trigger for each.");
    }

    private static void RefuseForeign(TriggerRequest request, string kind)
    {
        (string Member, bool IsGiven, string Kinds)[] members =
        [
            ("zone", request.Zone is not null, "clock"), ("concurrency", request.Concurrency is not null, "clock"),
            ("missed", request.Missed is not null, "clock"), ("catchUp", request.CatchUp is not null, "clock"),
            ("body", request.Body is not null, "clock"), ("contentType", request.ContentType is not null, "clock"),
            ("secret", request.Secret is not null, "webhook"), ("header", request.Header is not null, "webhook"),
            ("window", request.Window is not null, "webhook"),
            ("types", request.Types is not null, "webhook events"),
            ("sources", request.Sources is not null, "webhook events"),
            ("prefix", request.Prefix is not null, "upload"),
        ];
        foreach ((string member, bool isGiven, string kinds) in members)
        {
            if (isGiven && !kinds.Split(' ').Contains(kind))
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"{member} can't be given for a trigger of the kind {kind}: it is of {kinds.Replace(" ", " and ",
                        StringComparison.Ordinal)}.");
            }
        }
    }

    private static ClockSpec Clock(TriggerRequest request)
    {
        CronZone times = CronRules.Times(new Asked("cron", request.Cron), new Asked("zone", request.Zone));
        MissedTimes missed = request.Missed switch
        {
            null or "skip" => MissedTimes.Skip,
            "once" => MissedTimes.Once,
            _ => throw new Asked("missed", request.Missed).Refuse("expected skip or once"),
        };
        return request.CatchUp is not null && missed == MissedTimes.Skip
            ? throw new Asked("catchUp", request.CatchUp).Refuse("only what is made up for has it: give missed = once")
            : new ClockSpec(
                times,
                request.Concurrency switch
                {
                    null or "allow" => ClockConcurrency.Allow,
                    "forbid" => ClockConcurrency.Forbid,
                    "replace" => ClockConcurrency.Replace,
                    _ => throw new Asked("concurrency", request.Concurrency).Refuse(
                        "expected allow, forbid or replace"),
                },
                missed,
                ProgramRules.Time(
                    new Asked("catchUp", request.CatchUp), TimeSpan.FromSeconds(1), ClockSpec.LongestCatchUp, null)
                    ?? ClockSpec.DefaultCatchUp);
    }

    private WebhookSpec Webhook(TriggerRequest request)
    {
        WebhookStyle style = request.Webhook switch
        {
            "github" => WebhookStyle.GitHub,
            "timestamped" => WebhookStyle.Timestamped,
            "plain" => WebhookStyle.Plain,
            _ => throw new Asked("webhook", request.Webhook).Refuse("expected github, timestamped or plain"),
        };
        Asked secret = new("secret", request.Secret);
        if (request.Secret is null || !secrets.Has(request.Secret))
        {
            throw request.Secret is null
                ? new BerthException(
                    ErrorCode.InvalidRequest, "secret is missing: it names the one that the sender signs with.")
                : secret.Refuse(
                    $"there is no such secret; make it with 'berth secret create {Quoted.Of(request.Secret)}'");
        }

        if (request.Header is { } header && (header.Length is 0 or > MaxHeader
            || !header.All(c => char.IsAsciiLetterOrDigit(c) || c == '-')
            || header.Equals("Authorization", StringComparison.OrdinalIgnoreCase)))
        {
            throw new Asked("header", header).Refuse("expected the name of a header, of letters, digits and '-'");
        }

        if (request.Window is not null && style != WebhookStyle.Timestamped)
        {
            throw new Asked("window", request.Window).Refuse("only webhook = timestamped has a moment to compare");
        }

        return new WebhookSpec(
            style, request.Header ?? WebhookSpec.DefaultHeader(style), request.Secret,
            ProgramRules.Time(new Asked("window", request.Window), LeastWindow, LongestWindow, null)
                ?? WebhookSpec.DefaultWindow,
            request.Events == true);
    }

    private static EventFilter Filter(TriggerRequest request) => new(
        Patterns("types", request.Types), Patterns("sources", request.Sources));

    private static IReadOnlyList<string> Patterns(string member, IReadOnlyList<string>? patterns)
    {
        Asked asked = new(member, null);
        foreach (string? pattern in patterns ?? [])
        {
            if (pattern is not { Length: > 0 and <= EventFilter.MaxLength } || pattern.TrimEnd('*').Contains('*')
                || pattern.Any(char.IsControl))
            {
                throw asked.Refuse(
                    pattern ?? "", $"expected 1 to {EventFilter.MaxLength} characters, with '*' at the end alone");
            }
        }

        return patterns is { Count: > EventFilter.MaxPatterns }
            ? throw asked.Refuse("…", $"at most {EventFilter.MaxPatterns} can be given")
            : patterns ?? [];
    }

    private static UploadSpec Upload(TriggerRequest request)
    {
        Asked prefix = new("prefix", request.Prefix);
        string path = request.Prefix ?? "";
        return path.Length > MaxPrefix || path.StartsWith('/') || path.Split('/').Contains("..")
            || path.Any(char.IsControl)
            ? throw prefix.Refuse("expected the beginning of a path within the volume, such as in/ or photos/2026-")
            : new UploadSpec(Core.Containers.ContainerName.Check(request.Volume!, "volume"), path);
    }

    private static string? Text(string member, string? text, int most) => text is null || text.Length <= most
        ? text
        : throw new Asked(member, text).Refuse($"at most {most} characters can be given");

    private static string NameOf(ClockConcurrency concurrency) => concurrency switch
    {
        ClockConcurrency.Forbid => "forbid",
        ClockConcurrency.Replace => "replace",
        _ => "allow",
    };

    private static string NameOf(WebhookStyle style) => style switch
    {
        WebhookStyle.GitHub => "github",
        WebhookStyle.Timestamped => "timestamped",
        _ => "plain",
    };
}
